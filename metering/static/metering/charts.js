/* Charts of the house in every theme: text with enough contrast, and areas told apart by pattern, not by colour.

   A dataset with `pattern` ("stripes", "dots", "grid", "hollow") is filled with it in its own colour. Chart.js is
   loaded before; charts are drawn after. */
(() => {
  const SIZE = 8;
  const DRAWN = {
    stripes: (pen) => {
      for (const start of [-SIZE, 0, SIZE]) {
        pen.moveTo(start, SIZE);
        pen.lineTo(start + SIZE, 0);
      }
      pen.stroke();
    },
    dots: (pen) => {
      pen.arc(SIZE / 2, SIZE / 2, 1.75, 0, 2 * Math.PI);
      pen.fill();
    },
    grid: (pen) => {
      pen.moveTo(0, SIZE / 2);
      pen.lineTo(SIZE, SIZE / 2);
      pen.moveTo(SIZE / 2, 0);
      pen.lineTo(SIZE / 2, SIZE);
      pen.stroke();
    },
    hollow: () => {},
  };

  const filled = (name, colour) => {
    const tile = document.createElement("canvas");
    tile.width = tile.height = SIZE;
    const pen = tile.getContext("2d");
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = 2;
    pen.beginPath();
    DRAWN[name](pen);
    return pen.createPattern(tile, "repeat");
  };

  const resolved = (colour) => {
    const name = /^var\((.*)\)$/.exec(colour || "");
    return name ? getComputedStyle(document.documentElement).getPropertyValue(name[1]).trim() : colour;
  };

  /* The name of a line beside its last point, so that it is told without the legend. */
  const label = (chart, dataset, index, ink) => {
    const drawn = chart.getDatasetMeta(index).data.filter((point) => !point.skip);
    const last = drawn[drawn.length - 1];
    if (!last) return;
    const pen = chart.ctx;
    pen.save();
    pen.font = `600 12px ${Chart.defaults.font.family}`;
    pen.fillStyle = ink;
    const isRight = last.x > chart.chartArea.right - pen.measureText(dataset.label).width - 8;
    pen.textAlign = isRight ? "right" : "left";
    pen.textBaseline = "bottom";
    const place = [isRight ? last.x : last.x + 6, Math.max(last.y - 4, chart.chartArea.top + 14)];
    pen.strokeStyle = document.documentElement.classList.contains("dark") ? "#111827" : "#fff";
    pen.lineWidth = 4;
    pen.strokeText(dataset.label, ...place);
    pen.fillText(dataset.label, ...place);
    pen.restore();
  };

  /* A long name beside a lying bar in lines as wide as the chart has room for, never cut. */
  const wrapped = (text, most) =>
    String(text).split(" ").reduce((lines, word) => {
      const last = lines[lines.length - 1];
      if (last === undefined || last.length + 1 + word.length > most) return [...lines, word];
      return [...lines.slice(0, -1), `${last} ${word}`];
    }, []);

  /* Ticks and tooltips write numbers as the page does. */
  Chart.defaults.locale = document.documentElement.lang || "en";

  Chart.register({
    id: "house",
    beforeUpdate(chart) {
      const isDark = document.documentElement.classList.contains("dark");
      const ink = isDark ? "#d4d4d8" : "#52525b";
      Chart.defaults.color = ink;
      for (const scale of Object.values(chart.options.scales || {})) {
        scale.ticks.color = ink;
        if (scale.title) scale.title.color = ink;
      }
      if (chart.options.indexAxis === "y") {
        chart.options.scales.y.ticks.callback = function (value) {
          return wrapped(this.getLabelForValue(value), Math.max(16, Math.floor(chart.width / 22)));
        };
      }
      if (chart.options.plugins?.legend?.labels) chart.options.plugins.legend.labels.color = ink;
      for (const dataset of chart.data.datasets) {
        if (!(dataset.pattern in DRAWN)) continue;
        dataset.patternColor ??= resolved(dataset.borderColor || dataset.backgroundColor);
        dataset.borderColor = dataset.patternColor;
        dataset.borderWidth ??= 1;
        dataset.backgroundColor = filled(dataset.pattern, dataset.patternColor);
      }
    },
    afterDatasetsDraw(chart) {
      chart.data.datasets.forEach((dataset, index) => {
        if (dataset.isNamedAtEnd) label(chart, dataset, index, Chart.defaults.color);
      });
    },
  });
})();
