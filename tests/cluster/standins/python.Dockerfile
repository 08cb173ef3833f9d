# Debian's Python in place of the official image, with every package at hand: the build has no network.
FROM debian-python
COPY wheels /wheels
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
