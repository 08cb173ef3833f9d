"""How fast people move: the spectrum of recorded futures, which tells movement from the sensor's noise.

    python -m benchmarks.spectrum --data FOLDER

prints for each cosine component of 20 frames its frequency and root-mean-square amplitude, in millimetres.
"""

import argparse
from pathlib import Path

import numpy as np
import scipy.fft

from benchmarks.learning import motion_data, source_at
from hpgan_core.evaluation import cut


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of .skeleton files; default: synthetic motion")
    data = motion_data(source_at(parser.parse_args().data))
    starts = data.train.strided_starts(data.past_frames, data.window)
    futures = cut(data.train, starts, data.window)[:, data.past_frames :]
    amplitudes = np.sqrt(np.mean(scipy.fft.dct(futures, axis=1, norm="ortho") ** 2, axis=(0, 2, 3)))
    print("|   Hz |     mm |\n| ---: | -----: |")
    for component, amplitude in enumerate(amplitudes.tolist()):
        print(f"| {component * data.frame_rate_hz / (2 * data.future_frames):4.2f} | {1000 * amplitude:6.1f} |")


if __name__ == "__main__":
    main()
