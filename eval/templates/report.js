// Draws every canvas that carries data-chart or data-routing, in the colours of the page, and again when the theme changes.
// Without scripts nothing is lost: each chart's numbers stand in the table below it.
(() => {
  "use strict";
  // Far apart with red-green blindness, too; integration.report measures it.
  const palette = {
    light: ["#0655c3", "#a23600", "#22c56f", "#c09fb6", "#edb120", "#4fadfb", "#0d1c15", "#6e4173"],
    dark: ["#6586d8", "#dc4b00", "#21d172", "#ad738e", "#f3eb4c", "#add9ff", "#ffffe8", "#8644fb"],
  };
  const dashes = [[], [9, 3], [2, 3], [10, 4, 2, 4]];  // beyond the palette
  const limitDash = [5, 4];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const charts = [];

  const compact = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 3});
  const precise = new Intl.NumberFormat("en", {maximumSignificantDigits: 5});
  const tickText = (value) => Math.abs(value) >= 1000 ? compact.format(value) : precise.format(value);

  const dataset = (curve, colour, dash) => ({
    label: curve.name,
    data: curve.points.map(([x, y]) => ({x, y})),
    borderColor: colour,
    backgroundColor: colour,
    borderDash: dash,
    borderWidth: curve.is_limit ? 1.5 : 2,
    pointRadius: curve.is_limit || curve.points.length > 40 ? 0 : 2.5,
    pointHitRadius: 8,
  });

  // A limit is nobody's curve: it takes the axes' colour, and none of the palette.
  const datasets = (curves, colours, ink) => {
    let index = 0;
    return curves.map((curve) => {
      if (curve.is_limit) return dataset(curve, ink, limitDash);
      const round = Math.floor(index / colours.length) % dashes.length;
      return dataset(curve, colours[index++ % colours.length], dashes[round]);
    });
  };

  const axis = (title, ink, grid) => ({
    type: "linear",
    title: {display: title !== "", text: title, color: ink},
    ticks: {color: ink, maxTicksLimit: 7, callback: tickText},
    grid: {color: grid, borderColor: grid},
  });

  const draw = (canvas, forPrint) => {
    const chart = JSON.parse(canvas.dataset.chart);
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--soft").trim(), grid = style.getPropertyValue("--grid").trim();
    const colours = dark.matches && !forPrint ? palette.dark : palette.light;
    return new Chart(canvas, {
      type: "line",
      data: {datasets: datasets(chart.curves, colours, ink)},
      options: {
        parsing: false, animation: false, responsive: true, maintainAspectRatio: false,
        interaction: {mode: "nearest", axis: "x", intersect: false},
        scales: {x: axis(chart.x_label, ink, grid), y: axis(chart.y_label, ink, grid)},
        plugins: {
          legend: {display: chart.curves.length > 1, position: "bottom",
                   labels: {color: ink, boxWidth: 24, boxHeight: 0}},
          tooltip: {callbacks: {
            title: (items) => chart.x_label + " " + tickText(items[0].parsed.x),
            label: (item) => item.dataset.label + ": " + precise.format(item.parsed.y),
          }},
        },
      },
    });
  };

  // A band for each layer, a row for each language, a column for each expert. All sizes in CSS pixels.
  const drawRouting = (canvas, forPrint) => {
    const map = JSON.parse(canvas.dataset.routing);
    const experts = Math.max(...map.layers.map((layer) => layer.rows[0].length / 2));
    const style = getComputedStyle(document.documentElement);
    const room = canvas.parentElement.clientWidth;
    const names = 44, codes = 40, gap = 6, row = map.layers.length > 12 ? 7 : 13;
    const column = Math.max(3, Math.min(26, Math.floor((room - names - codes) / experts)));
    const band = row * map.languages.length + gap;
    const width = names + codes + column * experts, height = band * map.layers.length;
    const scale = window.devicePixelRatio || 1;
    canvas.width = width * scale; canvas.height = height * scale;
    canvas.style.width = width + "px"; canvas.style.height = height + "px";
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.textBaseline = "middle";
    const hue = style.getPropertyValue("--heat-hue").trim();
    const lightness = dark.matches && !forPrint ? 62 : 42;
    map.layers.forEach((layer, l) => {
      const top = l * band;
      pen.fillStyle = style.getPropertyValue("--soft").trim();
      pen.font = "12px system-ui, sans-serif";
      pen.fillText("layer " + layer.name, 0, top + (band - gap) / 2, names - 4);
      layer.rows.forEach((digits, r) => {
        const y = top + r * row;
        pen.fillStyle = style.getPropertyValue("--soft").trim();
        pen.font = Math.min(11, row) + "px system-ui, sans-serif";
        pen.fillText(map.languages[r], names, y + row / 2, codes - 4);
        pen.fillStyle = style.getPropertyValue("--grid").trim();
        pen.fillRect(names + codes, y, column * (digits.length / 2) - 1, row - 1);
        for (let e = 0; e < digits.length / 2; ++e) {
          const heat = parseInt(digits.slice(2 * e, 2 * e + 2), 16) / 255;
          pen.fillStyle = `hsl(${hue} 75% ${lightness}% / ${heat})`;
          pen.fillRect(names + codes + e * column, y, column - 1, row - 1);
        }
      });
    });
  };

  const drawAll = (forPrint) => {
    charts.splice(0).forEach((chart) => chart.destroy());
    document.querySelectorAll("canvas[data-chart]").forEach((canvas) => charts.push(draw(canvas, forPrint)));
    document.querySelectorAll("canvas[data-routing]").forEach((canvas) => drawRouting(canvas, forPrint));
  };

  drawAll(false);
  dark.addEventListener("change", () => drawAll(false));
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((details) => { details.open = true; });
    drawAll(true);
  });
  window.addEventListener("afterprint", () => drawAll(false));
  let width = window.innerWidth;  // the curves follow by themselves
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    document.querySelectorAll("canvas[data-routing]").forEach((canvas) => drawRouting(canvas, false));
  });
})();
