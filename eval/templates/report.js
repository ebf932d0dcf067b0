// Draws every canvas that carries data-chart, in the colours of the page, and again when the theme changes.
// Without scripts nothing is lost: each chart's numbers stand in the table below it.
(() => {
  "use strict";
  const palette = {
    light: ["#0072b2", "#d55e00", "#009e73", "#a3508a", "#8a6d00", "#3b7ea1", "#444444"],
    dark: ["#66b7ec", "#ff9f5a", "#4fd1a5", "#e394c9", "#e6cf5a", "#a5d3ee", "#cccccc"],
  };
  const dashes = [[], [6, 4], [2, 3], [10, 4, 2, 4]];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const charts = [];

  const compact = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 3});
  const precise = new Intl.NumberFormat("en", {maximumSignificantDigits: 5});
  const tickText = (value) => Math.abs(value) >= 1000 ? compact.format(value) : precise.format(value);

  const dataset = (curve, index, colours) => ({
    label: curve.name,
    data: curve.points.map(([x, y]) => ({x, y})),
    borderColor: colours[index % colours.length],
    backgroundColor: colours[index % colours.length],
    borderDash: dashes[Math.floor(index / colours.length) % dashes.length],
    borderWidth: 2,
    pointRadius: curve.points.length > 40 ? 0 : 2.5,
    pointHitRadius: 8,
  });

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
      data: {datasets: chart.curves.map((curve, index) => dataset(curve, index, colours))},
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

  const drawAll = (forPrint) => {
    charts.splice(0).forEach((chart) => chart.destroy());
    document.querySelectorAll("canvas[data-chart]").forEach((canvas) => charts.push(draw(canvas, forPrint)));
  };

  drawAll(false);
  dark.addEventListener("change", () => drawAll(false));
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((details) => { details.open = true; });
    drawAll(true);
  });
  window.addEventListener("afterprint", () => drawAll(false));
})();
