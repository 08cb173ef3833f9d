// Moving skeletons: the truth and every arm from one viewpoint, at one time.
"use strict";

(() => {
  const motions = report.motions;
  if (!motions) return;
  const {words} = report;
  const {colour, on_change, percentage, say} = report_page;
  const NOT_FINITE = -32768, FULL_COLOUR = 0.25, REST_S = 0.8, ORBIT_DEG_PER_PX = 0.5;
  const {past_frames, future_frames, joints, bones, clips, futures} = motions;
  const n_frames = past_frames + future_frames;
  const element = id => document.getElementById(id);

  function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), character => character.charCodeAt(0));
    return new Int16Array(bytes.buffer);
  }
  const past = unpacked(motions.past), truth = unpacked(motions.truth);
  const predicted = Object.fromEntries(Object.entries(motions.arms).map(([arm, text]) => [arm, unpacked(text)]));

  // A pose in metres, or null where it is not finite; `source` null is the truth.
  function pose_at(source, clip, z, frame) {
    const observed = frame < past_frames;
    const array = observed ? past : source ?? truth;
    const index = observed ? clip * past_frames + frame
      : source ? (clip * futures + z) * future_frames + frame - past_frames
      : clip * future_frames + frame - past_frames;
    const pose = array.subarray(index * joints * 3, (index + 1) * joints * 3);
    return pose.includes(NOT_FINITE) ? null : Float64Array.from(pose, value => value / 1000);
  }
  // Between two frames people move evenly, so that slow motion stays smooth.
  function pose_between(source, clip, z, time) {
    const before = pose_at(source, clip, z, Math.floor(time));
    const share = time - Math.floor(time);
    if (share === 0 || !before) return before;
    const after = pose_at(source, clip, z, Math.ceil(time));
    return after && before.map((value, index) => value + share * (after[index] - value));
  }
  const bone_length = (pose, [parent, child]) => Math.hypot(...[0, 1, 2].map(axis => pose[3 * child + axis] - pose[3 * parent + axis]));

  // What the true motion of a clip occupies, whichever way one looks at it.
  const scenes = d3.range(clips).map(clip => {
    const poses = d3.range(n_frames).map(frame => pose_at(null, clip, 0, frame)).filter(pose => pose);
    const axis = index => d3.extent(poses.flatMap(pose => d3.range(joints).map(joint => pose[3 * joint + index])));
    const [x, y, z] = [axis(0), axis(1), axis(2)];
    const centre = [x, y, z].map(([low, high]) => (low + high) / 2);
    const reach = d3.max(poses.flatMap(pose => d3.range(joints).map(joint => Math.hypot(pose[3 * joint] - centre[0], pose[3 * joint + 2] - centre[2]))));
    const last = pose_at(null, clip, 0, past_frames - 1);
    return {centre, reach, height: y[1] - y[0], floor: y[0], lengths: bones.map(bone => bone_length(last, bone))};
  });

  const state = {clip: 0, z: 0, time: 0, speed: 0.5, yaw: 30, pitch: 10, playing: false, rest: 0};
  const panels = [["", null], ...Object.entries(predicted)].map(([arm, source]) => {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const canvas = document.createElement("canvas");
    caption.textContent = arm || words.truth;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", say("panel_label", {name: caption.textContent}));
    if (arm) { figure.dataset.arm = arm; figure.style.setProperty("--arm", colour(arm)); }
    figure.append(caption, canvas);
    element("panels").append(figure);
    return {figure, canvas, source};
  });

  const tones = {};
  function read_theme() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["paper", "ink", "soft", "bone", "longer", "shorter", "shadow", "observed", "floor", "bad"])
      tones[name] = style.getPropertyValue(`--${name}`).trim();
    tones.stretch = d3.scaleLinear([-FULL_COLOUR, 0, FULL_COLOUR], [tones.shorter, tones.bone, tones.longer]).clamp(true);
  }

  // As a distant viewer sees it who has walked around the person by `yaw` and looks down by `pitch`.
  function viewer(scene, width, height) {
    const yaw = state.yaw * Math.PI / 180, pitch = state.pitch * Math.PI / 180;
    const scale = Math.min(width / (2.3 * scene.reach), (height - 24) / (1.16 * scene.height));
    return (x, y, z) => {
      const [east, up, north] = [x - scene.centre[0], y - scene.centre[1], z - scene.centre[2]];
      const level = north * Math.cos(yaw) - east * Math.sin(yaw);
      return {
        x: width / 2 + scale * (east * Math.cos(yaw) + north * Math.sin(yaw)),
        y: height / 2 - 6 - scale * (up * Math.cos(pitch) + level * Math.sin(pitch)),
        away: level * Math.cos(pitch) - up * Math.sin(pitch),
        scale,
      };
    };
  }

  function draw_floor(context, scene, look) {
    context.strokeStyle = tones.floor;
    context.lineWidth = 1;
    for (const radius of [0.35, 0.7]) {
      context.beginPath();
      for (const angle of d3.range(0, 361, 10)) {
        const turn = angle * Math.PI / 180;
        const {x, y} = look(scene.centre[0] + radius * Math.cos(turn), scene.floor, scene.centre[2] + radius * Math.sin(turn));
        angle ? context.lineTo(x, y) : context.moveTo(x, y);
      }
      context.stroke();
    }
  }

  function draw_person(context, pose, scene, look, tone) {
    const points = d3.range(joints).map(joint => look(...pose.subarray(3 * joint, 3 * joint + 3)));
    const {scale} = points[0], size = scene.height * scale;
    const parts = bones.map(([parent, child], index) => ({
      index, from: points[parent], to: points[child], away: (points[parent].away + points[child].away) / 2, is_head: child === motions.head,
      thick: size * (motions.sides[index] === "centre" ? 0.038 : 0.028) * (scene.lengths[index] < 0.09 ? 0.55 : 1),
    }));
    const line = (part, first, last, width, stroke, cap) => {
      const along = share => [part.from.x + share * (part.to.x - part.from.x), part.from.y + share * (part.to.y - part.from.y)];
      Object.assign(context, {strokeStyle: stroke, lineWidth: width, lineCap: cap});
      context.beginPath();
      context.moveTo(...along(first));
      context.lineTo(...along(last));
      context.stroke();
    };
    for (const part of d3.sort(parts, part => -part.away)) {
      // A seam in the colour of the paper, not at the joints, tells near limbs from far ones.
      if (tones.seam) line(part, 0.2, 0.8, part.thick + 2.5, tones.seam, "butt");
      line(part, 0, 1, part.thick, tone(part.index), "round");
      if (part.is_head) {
        context.fillStyle = tone(part.index);
        context.beginPath();
        context.ellipse(part.to.x, part.to.y, size * 0.05, size * 0.066, 0, 0, 2 * Math.PI);
        context.fill();
      }
    }
  }

  function draw_panel({figure, canvas, source}) {
    if (figure.hidden || !canvas.clientWidth) return;
    const width = canvas.clientWidth, height = Math.round(width * 1.25), ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const observed = state.time < past_frames - 0.5;
    const scene = scenes[state.clip], look = viewer(scene, width, height);
    context.fillStyle = observed ? tones.observed : tones.paper;
    context.fillRect(0, 0, width, height);
    draw_floor(context, scene, look);
    const real = pose_between(null, state.clip, state.z, state.time);
    const pose = source ? pose_between(source, state.clip, state.z, state.time) : real;
    context.textAlign = "center";
    context.font = "12px system-ui, sans-serif";
    if (!pose) {
      context.fillStyle = tones.bad;
      context.fillText(words.diverged, width / 2, height / 2);
      return;
    }
    tones.seam = null;
    if (source && !observed && real && element("shadow").checked) draw_person(context, real, scene, look, () => tones.shadow);
    tones.seam = observed ? tones.observed : tones.paper;
    const stretch = bones.map((bone, index) => bone_length(pose, bone) / Math.max(scene.lengths[index], 1e-5) - 1);
    const pale = observed ? 0.45 : 0;
    draw_person(context, pose, scene, look, index => d3.interpolateRgb(tones.stretch(stretch[index]), tones.observed)(pale));
    context.fillStyle = tones.soft;
    context.fillText(say("bones_off", {share: percentage.format(d3.mean(stretch, Math.abs))}), width / 2, height - 7);
  }

  const clock_form = new Intl.NumberFormat(report.language, {minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "always"});
  function draw() {
    panels.forEach(draw_panel);
    element("frame").value = state.time;
    const seconds = (state.time - past_frames + 1) / motions.frame_rate_hz;
    const era = state.time < past_frames - 0.5 ? words.observed : words.predicted;
    element("clock").textContent = `${clock_form.format(seconds).replace("-", "−")} s · ${era}`;
    element("frame").setAttribute("aria-valuetext", element("clock").textContent);
    element("panels").dataset.time = state.time.toFixed(3);
  }

  let before = null;
  function advance(now) {
    if (!state.playing) return;
    const elapsed = before === null ? 0 : Math.min((now - before) / 1000, 0.2);
    before = now;
    if (state.rest > 0) {
      state.rest -= elapsed;
      if (state.rest <= 0) state.time = 0;
    } else {
      state.time += elapsed * motions.frame_rate_hz * state.speed;
      if (state.time >= n_frames - 1) { state.time = n_frames - 1; state.rest = REST_S; }
    }
    draw();
    requestAnimationFrame(advance);
  }
  function play(playing) {
    if (playing === state.playing) return;
    state.playing = playing;
    before = null;
    if (playing && state.time >= n_frames - 1) { state.time = 0; state.rest = 0; }
    element("play").textContent = playing ? words.pause : words.play;
    if (playing) requestAnimationFrame(advance);
  }

  function orbit(right, down) {
    state.yaw += right * ORBIT_DEG_PER_PX;
    state.pitch = Math.max(-20, Math.min(85, state.pitch + down * ORBIT_DEG_PER_PX));
    if (!state.playing) draw();
  }
  function listen() {
    element("frame").max = n_frames - 1;
    element("speed").append(...[0.1, 0.25, 0.5, 1, 2].map(speed => new Option(`${speed.toLocaleString(report.language)}×`, speed, speed === state.speed, speed === state.speed)));
    element("clip").append(...d3.range(clips).map(clip => new Option(clip + 1, clip)));
    element("z").append(...d3.range(futures).map(z => new Option(z + 1, z)));
    element("play").addEventListener("click", () => play(!state.playing));
    element("frame").addEventListener("input", event => { play(false); state.time = Number(event.target.value); state.rest = 0; draw(); });
    for (const id of ["speed", "clip", "z"])
      element(id).addEventListener("change", event => { state[id] = Number(event.target.value); draw(); });
    element("shadow").addEventListener("change", draw);
    const place = element("panels");
    let held = null;
    place.addEventListener("pointerdown", event => { held = [event.clientX, event.clientY]; place.setPointerCapture(event.pointerId); });
    place.addEventListener("pointermove", event => {
      if (!held) return;
      orbit(event.clientX - held[0], event.clientY - held[1]);
      held = [event.clientX, event.clientY];
    });
    for (const end of ["pointerup", "pointercancel"]) place.addEventListener(end, () => { held = null; });
    const arrows = {ArrowLeft: [-12, 0], ArrowRight: [12, 0], ArrowUp: [0, -12], ArrowDown: [0, 12]};
    place.addEventListener("keydown", event => {
      if (!(event.key in arrows)) return;
      event.preventDefault();
      orbit(...arrows[event.key]);
    });
    on_change(draw);
    new ResizeObserver(draw).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { read_theme(); draw(); });
    addEventListener("beforeprint", () => { play(false); read_theme(); draw(); });
    // Nobody is moved at who does not look, or does not wish it.
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let begun = false;
    new IntersectionObserver(([entry]) => {
      if (entry.isIntersecting && !begun && !calm) { begun = true; play(true); }
      if (!entry.isIntersecting) play(false);
    }, {threshold: 0.1}).observe(place);
  }

  state.time = past_frames - 1 + Math.floor(future_frames / 2);
  read_theme();
  listen();
  draw();
})();
