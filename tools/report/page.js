"use strict";
// Draws the charts of the page from the numbers in it. What the tables say needs no script.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const charts = new Map();

  // Okabe and Ito's colours, which the colour-blind can tell apart, darker where they stand on white. Dashes and points differ too.
  const palettes = {
    light: { lines: ["#0072b2", "#d55e00", "#00795a", "#a3417c", "#9a6a00", "#2a8fc7", "#5a5f66", "#7b5cd6"], text: "#3d444d", grid: "#e4e8ec", damaged: "#b3261e", back: "#ffffff" },
    dark: { lines: ["#56b4e9", "#f0873c", "#2fc99b", "#e29ac4", "#e6b43c", "#8fd3ff", "#b9c0c8", "#b7a3ff"], text: "#b4bdc7", grid: "#2a323c", damaged: "#ff9d94", back: "#171c23" },
  };
  const dashes = [[], [6, 3], [2, 3]], points = ["circle", "rect", "triangle", "rectRot", "crossRot", "star", "line", "cross"];
  const colours = () => palettes[dark.matches ? "dark" : "light"];

  const short = (text, most = 40) => (text.length <= most ? text : "…" + text.slice(1 - most));
  // Names without the parts that all of them begin and end with: "…0…" and "…1…" of layers.0.attention and layers.1.attention.
  function brief(names) {
    const parts = names.map((name) => name.split(/(?<=[./])/));
    const agree = (of, apart) => parts.length > 0 && parts.every((p) => p.length > apart + 1 && of(p) === of(parts[0]));
    let head = 0, tail = 0;
    while (agree((p) => p[head], head)) ++head;
    while (agree((p) => p.at(-1 - tail), head + tail)) ++tail;
    return parts.map((p) => short((head ? "…" : "") + p.slice(head, p.length - tail).join("").replace(/[./]$/, "") + (tail ? "…" : ""), 24));
  }
  const readable = (x) => (x === 0 ? "0" : Math.abs(x) >= 1e6 || Math.abs(x) < 1e-3 ? String(Number(x.toPrecision(3)).toExponential()) : String(Number(x.toPrecision(4))));
  const counted = (x) => Math.round(x).toLocaleString("en");

  function style(i) {
    const { lines, back } = colours(), colour = lines[i % lines.length];
    return { borderColor: colour, backgroundColor: colour, pointBackgroundColor: colour, pointBorderColor: colour, pointHoverBorderColor: back, borderDash: dashes[Math.floor(i / lines.length) % dashes.length], pointStyle: points[i % points.length] };
  }

  const line = (i, label, xs, ys) => ({ label, data: xs.map((x, n) => ({ x, y: ys[n] })), ...style(i), borderWidth: 2, pointRadius: xs.length > 60 ? 0 : 3, pointHoverRadius: 5, pointHitRadius: 8, spanGaps: true, clip: 8 });

  function axis(title, format, more = {}) {
    const { text, grid } = colours();
    return { title: { display: true, text: title, color: text }, grid: { color: grid, borderColor: grid }, ticks: { color: text, maxRotation: 0, autoSkipPadding: 12, callback: (value) => format(value) }, ...more };
  }

  // Round numbers are labelled, and only powers of ten where there are many. Values that lie close together need no logarithms.
  function logarithmic(title, values) {
    const positive = values.filter((y) => y > 0), low = Math.min(...positive), high = Math.max(...positive);
    if (!(high > 3 * low)) return axis(title, readable);
    const labelled = high > 100 * low ? [1] : [1, 2, 3, 5, 7], first = (value) => Number(value.toExponential().split("e")[0]);
    const round = (value) => labelled.some((digit) => Math.abs(first(value) - digit) < 1e-9);
    return axis(title, (value) => (round(value) ? readable(value) : null), { type: "logarithmic", min: low / 1.15, max: high * 1.15 });
  }

  function draw(id, type, datasets, { x, y, format = readable, of = counted, legend = datasets.length > 1 }) {
    const canvas = document.getElementById(id);
    if (!canvas) return;
    charts.get(id)?.destroy();
    const { text } = colours();
    const chart = new Chart(canvas, {
      type,
      data: { datasets },
      options: {
        animation: false, maintainAspectRatio: false,
        interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: { x, y },
        plugins: {
          legend: { display: legend, position: "bottom", labels: { color: text, usePointStyle: true, boxHeight: 7, padding: 10, generateLabels: (c) => Chart.defaults.plugins.legend.labels.generateLabels(c).map((l) => ({ ...l, text: datasets[l.datasetIndex].brief ?? short(l.text) })) } },
          tooltip: { callbacks: { title: (items) => (items.length ? of(items[0].parsed.x) : ""), label: (item) => `${short(item.dataset.label)}: ${format(item.parsed.y)}` } },
        },
      },
    });
    charts.set(id, chart);
  }

  const steps = (xs) => axis("step", counted, { type: "linear", ...(xs.length > 1 ? { min: Math.min(...xs), max: Math.max(...xs) } : {}) });
  const step = (x) => "step " + counted(x);

  function drawMetric() {
    const { steps: xs, metric, best } = data.checkpoints, log = document.getElementById("metric-log")?.checked;
    const sets = [line(0, "metric", xs, metric)];
    if (best !== null) sets.unshift({ label: "best", type: "scatter", data: [{ x: xs[best], y: metric[best] }], ...style(1), pointStyle: "circle", pointRadius: 7, pointHoverRadius: 8, borderWidth: 3, pointBackgroundColor: "transparent" });
    draw("metric", "line", sets, { x: steps(xs), y: log ? logarithmic("metric", metric) : axis("metric", readable), of: step });
  }

  // Bars of a set width, since steps need not be evenly spaced.
  function drawBars(id, unit, ys) {
    const { steps: xs, damaged } = data.checkpoints, { lines, damaged: red } = colours();
    const labels = xs.map((x) => counted(x));
    const bars = (label, colour, keep) => ({ label, data: ys.map((y, n) => (keep(n) ? y : null)), backgroundColor: colour, borderColor: colour, grouped: false, maxBarThickness: 28 });
    const sets = [bars("whole", lines[0], (n) => !damaged[n])];
    if (damaged.some((d) => d)) sets.push(bars("damaged", red, (n) => damaged[n]));
    draw(id, "bar", sets, { x: axis("step", (i) => labels[i], { type: "category", labels }), y: axis(unit, readable, { beginAtZero: true }), format: (y) => readable(y) + " " + unit, of: (i) => "step " + labels[i] });
  }

  function drawLayers() {
    const { steps: xs, names, parameters, updates, moments } = data.layers;
    const chosen = names.map((_, i) => i).filter((i) => picked.has(i));
    const ratios = updates.map((ys, i) => ys.map((y, n) => (y !== null && parameters[i][n] ? y / parameters[i][n] : null)));
    const briefly = brief(chosen.map((i) => names[i]));
    const show = (id, title, table) => {
      const sets = chosen.map((i, n) => ({ ...line(n, names[i], xs, table[i].map((y) => (y > 0 ? y : null))), brief: briefly[n] }));
      draw(id, "line", sets, { x: steps(xs), y: logarithmic(title, sets.flatMap((s) => s.data.map((d) => d.y))), of: step, legend: true });
    };
    show("parameters", "norm", parameters);
    show("updates", "norm of the change", updates);
    show("ratios", "change / parameters", ratios);
    moments.forEach(({ table }, i) => show("moment-" + i, "norm", table));
  }

  function drawHistograms() {
    data.histograms.forEach(({ low, high, lines }, i) => {
      const sets = lines.map(({ step: at, shares }, n) => {
        const width = (high - low) / shares.length, newest = n === lines.length - 1, s = style(newest ? 0 : 1);
        const corners = shares.map((y, k) => ({ x: low + k * width, y: 100 * y })).concat({ x: high, y: 100 * shares.at(-1) });
        return { label: "step " + counted(at), data: corners, ...s, stepped: "before", pointRadius: 0, pointHitRadius: 4, pointStyle: "line", borderWidth: newest ? 1 : 2, borderDash: newest ? [] : [5, 3], fill: newest ? "origin" : false, backgroundColor: newest ? s.borderColor + "55" : "transparent" };
      });
      draw("histogram-" + i, "line", sets.reverse(), { x: axis("value", readable, { type: "linear", min: low, max: high }), y: axis("elements, %", readable, { beginAtZero: true }), format: (y) => readable(y) + " %", of: readable, legend: true });
    });
  }

  // Which layers: at first as many as there are colours, evenly spread.
  const picked = new Set();
  function makePicker() {
    const { names } = data.layers, list = document.getElementById("layers"), search = document.getElementById("layer-search");
    const most = Math.min(names.length, 8);
    for (let i = 0; i < most; ++i) picked.add(most === 1 ? 0 : Math.floor((i * (names.length - 1)) / (most - 1)));
    if (!list) return;
    const boxes = names.map((name, i) => {
      const item = document.createElement("li"), label = document.createElement("label"), box = document.createElement("input");
      box.type = "checkbox";
      box.checked = picked.has(i);
      box.addEventListener("change", () => { if (box.checked) picked.add(i); else picked.delete(i); drawLayers(); });
      label.append(box, name);
      item.append(label);
      list.append(item);
      return item;
    });
    search.addEventListener("input", () => boxes.forEach((item, i) => { item.hidden = !names[i].toLowerCase().includes(search.value.toLowerCase()); }));
  }

  function drawAll() {
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    drawMetric();
    const { steps: xs, lines } = data.curves;
    draw("curves", "line", lines.map(({ name, values }, i) => line(i, name, xs, values)), { x: steps(xs), y: axis("value", readable), of: step, legend: true });
    const unit = Math.min(4, Math.floor(Math.log2(Math.max(1, ...data.checkpoints.bytes)) / 10));
    drawBars("sizes", ["B", "KiB", "MiB", "GiB", "TiB"][unit], data.checkpoints.bytes.map((x) => x / 1024 ** unit));
    drawBars("seconds", "seconds", data.checkpoints.seconds);
    drawLayers();
    drawHistograms();
  }

  document.documentElement.classList.add("drawn");
  makePicker();
  drawAll();
  dark.addEventListener("change", drawAll);
  document.getElementById("metric-log")?.addEventListener("change", drawMetric);
})();
