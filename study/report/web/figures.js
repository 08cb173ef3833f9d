// Plots of the report. Every figure is drawn from the rows that stand in the CSV of its name.
"use strict";

const report = JSON.parse(document.getElementById("report-data").textContent);

const report_page = (() => {
  const {words, arms} = report;
  const shown = new Set(arms);
  const listeners = [];
  const palette = d3.schemeObservable10.concat(d3.schemeTableau10);
  const colour = arm => palette[arms.indexOf(arm) % palette.length];
  const number = new Intl.NumberFormat(report.language, {maximumSignificantDigits: 4});
  const percentage = new Intl.NumberFormat(report.language, {style: "percent", maximumFractionDigits: 0});
  const signed = new Intl.NumberFormat(report.language, {style: "percent", maximumFractionDigits: 1, signDisplay: "exceptZero"});
  const as_share = log_ratio => Math.expm1(log_ratio);
  const share = log_ratio => signed.format(as_share(log_ratio)).replace("-", "−");
  const say = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const named = (prefix, name) => words[prefix + name.replace(/[- ]/g, "_")] ?? name;
  const metric_name = key => named("name_", key.replace(/^(val|test)\//, ""));

  function rows(name) {
    const {columns, rows} = report.figures[name];
    return rows.map(row => Object.fromEntries(columns.map((column, index) => [column, row[index]])));
  }
  const visible = row => shown.has(row.arm);
  const tip = {fill: "var(--card)", stroke: "var(--line)"};
  const style = {background: "none", fontSize: "12.5px", fontFamily: "inherit", color: "var(--ink)"};

  // Draws into a place whenever its width or the choice of arms changes.
  function keep_drawn(place, draw) {
    if (!place) return;
    let width = 0;
    const redraw = () => { if (width > 0) place.replaceChildren(...[draw(width)].flat()); };
    listeners.push(redraw);
    new ResizeObserver(([entry]) => {
      const found = Math.floor(entry.contentRect.width);
      if (Math.abs(found - width) > 1) { width = found; redraw(); }
    }).observe(place);
  }

  function choose(id, options, redraw) {
    const select = document.getElementById(id);
    if (!select) return () => null;
    select.append(...options.map(([value, text]) => new Option(text, value)));
    select.addEventListener("change", redraw);
    return () => select.value;
  }

  function draw_chips() {
    for (const element of document.querySelectorAll("[data-arm]"))
      element.style.setProperty("--arm", colour(element.dataset.arm));
    document.getElementById("chips").append(words.arms_shown, ...arms.map(arm => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = arm;
      button.style.setProperty("--arm", colour(arm));
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        shown.has(arm) ? shown.delete(arm) : shown.add(arm);
        button.setAttribute("aria-pressed", String(shown.has(arm)));
        for (const element of document.querySelectorAll("[data-arm]"))
          element.hidden = !shown.has(element.dataset.arm);
        listeners.forEach(redraw => redraw());
      });
      return button;
    }));
  }

  function draw_forest() {
    const data = rows("forest"), seeds = rows("forest_seeds");
    const drawable = data.filter(row => row.difference !== null);
    const values = drawable.flatMap(row => [row.lower, row.upper, row.margin ?? 0]).concat(seeds.map(row => row.difference), 0);
    const [least, most] = d3.extent(values), room = 0.06 * (most - least || 1);
    const domain = [least - room, most + room];
    const ticks = count => d3.ticks(...domain.map(as_share), count).map(Math.log1p);
    const tones = {superior: "good", "non-inferior": "good", inferior: "bad", inconclusive: "open", "gate failed": "none"};
    const tone = row => `var(--${tones[row.word]})`;
    const verdict = between => row => named("word_", row.word) + (row.favour ? between + named("mark_", row.favour) : "");
    keep_drawn(document.getElementById("forest"), width =>
      d3.groups(drawable, row => row.claim).flatMap(([claim, of_claim]) => {
        const heading = document.createElement("h3");
        heading.textContent = claim;
        const label = row => metric_name(row.metric);
        const narrow = width < 560;
        const plot = Plot.plot({
          width, style, height: 62 + 44 * of_claim.length, marginLeft: narrow ? 118 : 150, marginRight: narrow ? 8 : 190, marginBottom: 42,
          ariaLabel: claim,
          x: {domain, label: say("forest_axis", of_claim[0]), labelAnchor: "center", labelArrow: "none", ticks: ticks(narrow ? 4 : 10), tickFormat: value => share(value)},
          y: {label: null, domain: of_claim.map(label), tickSize: 0},
          marks: [
            Plot.barX(of_claim.filter(row => row.margin !== null), {y: label, x1: domain[0], x2: "margin", fill: "var(--allowed)", insetTop: 3, insetBottom: 3, clip: true}),
            Plot.ruleX([0], {stroke: "var(--ink)"}),
            Plot.tickX(of_claim.filter(row => row.margin !== null), {x: "margin", y: label, stroke: "var(--ink)", strokeWidth: 2, strokeDasharray: "4,3", insetTop: 1, insetBottom: 1}),
            Plot.dot(seeds.filter(row => row.claim === claim), {x: "difference", y: label, r: 2.6, fill: "var(--soft)", fillOpacity: .7, dy: 8}),
            Plot.link(of_claim, {x1: "lower", x2: "upper", y: label, stroke: tone, strokeWidth: 4, strokeLinecap: "round", dy: -2}),
            Plot.dot(of_claim, {x: "difference", y: label, r: 6, fill: tone, stroke: "var(--paper)", strokeWidth: 1.5, dy: -2}),
            narrow ? null : Plot.text(of_claim, {frameAnchor: "right", y: label, text: verdict("\n"), fill: tone, fontWeight: 600, dx: 12, textAnchor: "start"}),
            Plot.tip(of_claim, Plot.pointer({x: "difference", y: label, ...tip, title: row => [
              `${metric_name(row.metric)}: ${verdict(", ")(row)}`,
              `${words.difference} ${share(row.difference)}`,
              `${words.bounds} ${share(row.lower)} … ${share(row.upper)}`,
              row.margin === null ? "" : `${words.margin} ${share(row.margin)}`,
            ].filter(Boolean).join("\n")})),
          ],
        });
        return [heading, plot];
      }));
  }

  function draw_effects() {
    const place = document.getElementById("effects-plots");
    if (!place) return;
    for (const [metric, effects] of d3.groups(rows("effects").filter(row => row.own !== null), row => row.metric)) {
      const article = document.createElement("article");
      const heading = Object.assign(document.createElement("h3"), {textContent: metric_name(metric)});
      const target = document.createElement("div");
      article.className = "small";
      article.append(heading, target);
      place.append(article);
      const domain = d3.extent(effects.flatMap(row => [row.own_low ?? row.own, row.own_high ?? row.own]).concat(0));
      const ticks = d3.ticks(...domain.map(as_share), 3).map(Math.log1p);
      const tone = row => row.ci_high < 0 ? "var(--good)" : row.ci_low > 0 ? "var(--bad)" : "var(--soft)";
      const direction = row => row.ci_high < 0 ? ` ${words.effect_better}` : row.ci_low > 0 ? ` ${words.effect_worse}` : "";
      const longest = d3.max(effects, row => row.losses.length);
      keep_drawn(target, width => Plot.plot({
        width, style, height: 50 + 22 * effects.length, marginLeft: 12 + 7 * longest, marginRight: 18, marginTop: 4, marginBottom: 40,
        ariaLabel: `${words.section_effects}: ${metric_name(metric)}`,
        x: {domain, inset: 6, ticks, tickFormat: value => share(value), label: words.effects_change, labelAnchor: "center", labelArrow: "none"},
        y: {label: null, domain: effects.map(row => row.losses), tickSize: 0},
        marks: [
          Plot.ruleX([0], {stroke: "var(--ink)"}),
          Plot.link(effects.filter(row => row.own_low !== null), {x1: "own_low", x2: "own_high", y: "losses", stroke: tone, strokeWidth: 3, strokeLinecap: "round"}),
          Plot.dot(effects, {x: "own", y: "losses", r: 4.5, fill: tone, stroke: "var(--paper)"}),
          Plot.tip(effects, Plot.pointer({x: "own", y: "losses", ...tip, title: row => `${row.losses}\n${share(row.own)}${direction(row)}\n95 %: ${share(row.own_low)} … ${share(row.own_high)}`})),
        ],
      }));
    }
  }

  function draw_learning() {
    const data = rows("learning");
    const metrics = [...new Set(data.map(row => row.metric))].map(metric => [metric, metric_name(metric)]);
    const place = document.getElementById("learning-plot");
    const draw = width => {
      const metric = chosen();
      const curves = data.filter(row => row.metric === metric && visible(row));
      const last = d3.groups(curves, row => row.arm).map(([, of_arm]) => of_arm.at(-1));
      const height = Math.min(420, Math.max(280, width / 2));
      // The scale is that of the means: the interval of two members may be many times as wide.
      const [lowest, highest] = d3.extent(curves, row => row.mean);
      const room = (highest - lowest) / 2;
      const least = Math.max(lowest - room, d3.min(curves, row => row.ci_low ?? row.mean));
      const most = Math.min(highest + room, d3.max(curves, row => row.ci_high ?? row.mean));
      return Plot.plot({
        width, style, height, marginLeft: 55, marginRight: width < 560 ? 12 : 120,
        ariaLabel: `${words.section_learning}: ${metric_name(metric)}`,
        x: {label: `${words.epoch} →`, ticks: Math.min(10, d3.max(curves, row => row.epoch) ?? 1), tickFormat: value => Number.isInteger(value) ? String(value) : ""},
        y: {label: metric_name(metric), labelArrow: "none", grid: true, nice: true, tickFormat: number.format, ...(most > least && {domain: [least, most]})},
        marks: [
          Plot.areaY(curves.filter(row => row.ci_low !== null), {x: "epoch", y1: "ci_low", y2: "ci_high", z: "arm", fill: row => colour(row.arm), fillOpacity: .13, clip: true}),
          Plot.lineY(curves, {x: "epoch", y: "mean", z: "arm", stroke: row => colour(row.arm), strokeWidth: 2}),
          Plot.dot(last, {x: "epoch", y: "mean", fill: row => colour(row.arm), r: 3}),
          width < 560 ? null : Plot.text(spread(last, 16 * (most - least) / (height - 60)), {x: "epoch", y: "place", text: "arm", dx: 9, textAnchor: "start", fill: row => colour(row.arm), fontWeight: 600}),
          Plot.tip(curves, Plot.pointer({x: "epoch", y: "mean", ...tip, title: row => [
            row.arm, `${words.epoch} ${row.epoch}`, `${words.mean} ${number.format(row.mean)}`,
            row.ci_low === null ? "" : `95 %: ${number.format(row.ci_low)} … ${number.format(row.ci_high)}`,
          ].filter(Boolean).join("\n")})),
        ],
      });
    };
    const chosen = choose("learning-metric", metrics, () => listeners.forEach(redraw => redraw()));
    keep_drawn(place, draw);
  }

  // Labels at the ends of curves, pushed apart so that each can be read.
  function spread(last, gap) {
    const places = [];
    for (const row of d3.sort(last, row => row.mean)) {
      const place = Math.max(row.mean, (places.at(-1)?.place ?? -Infinity) + gap);
      places.push({...row, place});
    }
    const risen = d3.mean(places, row => row.place - row.mean);
    return places.map(row => ({...row, place: row.place - risen}));
  }

  // Names beside points, each at the first place where it covers no other.
  function put_labels(plot, labels) {
    const [x, y] = [plot.scale("x"), plot.scale("y")];
    const taken = labels.map(label => ({left: x.apply(label.x) - 6, right: x.apply(label.x) + 6, top: y.apply(label.y) - 6, bottom: y.apply(label.y) + 6}));
    const group = d3.select(plot).append("g").attr("font-weight", 700).attr("text-anchor", "middle").attr("stroke-width", 4).attr("paint-order", "stroke");
    for (const {x: value_x, y: value_y, text, fill} of labels) {
      const [at_x, at_y, half] = [x.apply(value_x), y.apply(value_y), 4 * text.length];
      const boxes = d3.range(1, 7).flatMap(ring => [[0, -1], [0, 1], [-1, -1], [1, -1], [-1, 1], [1, 1]].map(([right, down]) => {
        const [middle, line] = [at_x + right * (half + 4), at_y + down * (4 + 13 * ring)];
        return {middle, line, left: middle - half, right: middle + half, top: line - 8, bottom: line + 6};
      }));
      const is_free = box => taken.every(other => box.left > other.right || box.right < other.left || box.top > other.bottom || box.bottom < other.top);
      const box = boxes.find(is_free) ?? boxes[0];
      taken.push(box);
      if (Math.abs(box.line - at_y) > 24)
        group.append("line").attr("x1", at_x).attr("y1", at_y).attr("x2", box.middle).attr("y2", box.line).attr("stroke", fill).attr("stroke-width", 1).attr("stroke-opacity", .5);
      group.append("text").attr("x", box.middle).attr("y", box.line + 4).attr("fill", fill).attr("stroke", "var(--paper)").text(text);
    }
  }

  function draw_search() {
    const data = rows("search"), importances = rows("importances");
    const fixed = ["arm", "trial", "state", "number", "epochs", "objective", "seconds", "winner"];
    const parameters = report.figures.search.columns.filter(column => !fixed.includes(column));
    const options = [...parameters.map(name => [name, name]), ["number", words.trial_number]];
    const chosen = choose("search-parameter", options, () => listeners.forEach(redraw => redraw()));
    const complete = data.filter(row => row.state === "complete" && row.objective !== null).map(row => row.objective);
    const [least, most] = complete.length ? d3.extent(complete) : [0, 1];
    const room = 0.12 * (most - least || 1);
    const domain = [least - room, most + room];
    for (const article of document.querySelectorAll("#search article")) {
      const arm = article.dataset.arm;
      keep_drawn(article.querySelector(".search-plot"), width => {
        const name = chosen();
        const trials = data.filter(row => row.arm === arm && row[name] !== null);
        const scored = trials.filter(row => row.objective !== null).map(row => ({...row, shown: Math.min(Math.max(row.objective, domain[0]), domain[1])}));
        const failed = trials.filter(row => row.state === "failed");
        if (trials.length === 0) return Object.assign(document.createElement("p"), {className: "note", textContent: `${name}: –`});
        return Plot.plot({
          width, style, height: 190, marginLeft: 44, marginBottom: 36, marginTop: 24,
          ariaLabel: `${words.section_search}: ${arm}, ${name}`,
          x: {
            label: name === "number" ? words.trial_number : name, labelAnchor: "center", labelArrow: "none", ticks: 4, inset: 8,
            ...(report.categories.includes(name)
              ? {type: "point", domain: d3.sort([...new Set(data.map(row => row[name]).filter(value => value !== null))])}
              : {domain: d3.extent(data.map(row => row[name]).filter(value => value !== null)), type: report.log_parameters.includes(name) ? "log" : "linear", tickFormat: number.format}),
          },
          y: {domain, label: report.objective, labelArrow: "none", grid: true, ticks: 4, tickFormat: number.format},
          marks: [
            Plot.frame({stroke: "var(--line)"}),
            Plot.dot(scored.filter(row => row.state !== "complete"), {x: name, y: "shown", r: 3.5, stroke: colour(arm)}),
            Plot.dot(scored.filter(row => row.state === "complete"), {x: name, y: "shown", r: 4, fill: colour(arm), fillOpacity: .85}),
            Plot.dot(scored.filter(row => row.winner), {x: name, y: "shown", r: 8, stroke: "var(--ink)", strokeWidth: 1.5}),
            Plot.dot(failed, {x: name, y: domain[1], symbol: "times", r: 4, stroke: "var(--bad)", strokeWidth: 2}),
            Plot.tip(scored, Plot.pointer({x: name, y: "shown", ...tip, title: row => [
              `${row.arm}/${row.trial}: ${words[row.winner ? "winner" : row.state]}`,
              `${report.objective} ${number.format(row.objective)}`, `${words.epoch} ${row.epochs}`,
              ...parameters.filter(key => row[key] !== null).map(key => `${key} ${typeof row[key] === "number" ? number.format(row[key]) : row[key]}`),
            ].join("\n")})),
          ],
        });
      });
      const bars = importances.filter(row => row.arm === arm);
      if (bars.length > 0) keep_drawn(article.querySelector(".importance-plot"), width => {
        const heading = Object.assign(document.createElement("p"), {className: "note", textContent: words.importance});
        const longest = d3.max(bars, row => row.parameter.length);
        return [heading, Plot.plot({
          width, style, height: 6 + 19 * bars.length, marginLeft: 12 + 6.8 * longest, marginRight: 40, marginTop: 2, marginBottom: 4,
          ariaLabel: `${words.importance}: ${arm}`,
          x: {domain: [0, 1], axis: null},
          y: {label: null, domain: bars.map(row => row.parameter), tickSize: 0},
          marks: [
            Plot.barX(bars, {x: "importance", y: "parameter", fill: colour(arm), fillOpacity: .75, insetTop: 2, insetBottom: 2}),
            Plot.text(bars, {x: "importance", y: "parameter", text: row => percentage.format(row.importance), dx: 5, textAnchor: "start"}),
          ],
        })];
      });
    }
  }

  function draw_pareto() {
    const data = rows("pareto");
    keep_drawn(document.getElementById("pareto-plot"), width => {
      const of = kind => data.filter(row => row.kind === kind && (kind === "baseline" || visible(row)));
      const members = of("member").filter(row => row.ade !== null && row.apd !== null);
      const means = of("mean");
      const front = d3.sort(means.filter(row => row.front), row => row.apd);
      const tone = row => row.kind === "baseline" ? "var(--soft)" : colour(row.arm);
      const name = row => row.kind === "baseline" ? named("baseline_", row.arm) : row.arm;
      // A baseline far from all arms would leave these no room.
      const [least, most] = d3.extent(members.concat(means), row => row.ade);
      const is_near = row => least === undefined || Math.abs(row.ade - (least + most) / 2) < 2 * (most - least);
      const baselines = of("baseline").filter(is_near), far = of("baseline").filter(row => !is_near(row));
      const plot = Plot.plot({
        width, style, height: Math.min(520, Math.max(330, width * .55)), marginLeft: 55, marginBottom: 42, marginRight: 30, inset: 14,
        ariaLabel: words.section_pareto,
        x: {label: words.axis_apd, labelArrow: "none", tickFormat: number.format, ticks: 6},
        y: {label: words.axis_ade, labelArrow: "none", tickFormat: number.format, grid: true, nice: true},
        marks: [
          Plot.line(front, {x: "apd", y: "ade", stroke: "var(--ink)", strokeDasharray: "5,4"}),
          Plot.dot(members, {x: "apd", y: "ade", r: 3, fill: tone, fillOpacity: .45}),
          Plot.link(means.filter(row => row.apd_low !== null), {x1: "apd_low", x2: "apd_high", y: "ade", stroke: tone, strokeWidth: 2}),
          Plot.link(means.filter(row => row.ade_low !== null), {x: "apd", y1: "ade_low", y2: "ade_high", stroke: tone, strokeWidth: 2}),
          Plot.dot(means, {x: "apd", y: "ade", r: 6, fill: tone, stroke: "var(--paper)", strokeWidth: 1.5}),
          Plot.dot(baselines, {x: "apd", y: "ade", r: 5, symbol: "diamond", fill: tone}),
          Plot.text(baselines, {x: "apd", y: "ade", text: name, dx: 10, textAnchor: "start", fill: tone}),
          Plot.tip([...members, ...means, ...baselines], Plot.pointer({x: "apd", y: "ade", ...tip, title: row => [
            name(row) + (row.kind === "member" ? `, ${words.seed} ${row.seed}` : row.kind === "mean" ? `, ${words.mean}` : ""),
            `ADE ${number.format(row.ade)} m`, `APD ${number.format(row.apd)} m`,
          ].join("\n")})),
        ],
      });
      if (means.length > 0) put_labels(plot, means.map(row => ({x: row.apd, y: row.ade, text: row.arm, fill: tone(row)})));
      const note = document.createElement("p");
      note.className = "note";
      note.textContent = far.map(row => say("beyond_scale", {name: name(row), ade: number.format(row.ade)})).join(" ");
      return [plot, note];
    });
  }

  draw_chips();
  draw_forest();
  draw_effects();
  draw_learning();
  draw_search();
  draw_pareto();
  return {colour, shown, on_change: listener => listeners.push(listener), percentage, say};
})();
