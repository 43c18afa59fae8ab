/* A line under the pointer, and what the curves say there. Without it the page lacks nothing but that. */
"use strict";

const group = (text) => text.replace(/\B(?=(\d{3})+$)/g, ",");
const rate = (value) => (value >= 100 ? group(value.toFixed(0)) : value.toFixed(1));

function micros(value) {
  if (value < 1e3) return `${value.toFixed(0)} µs`;
  if (value < 1e6) return `${(value / 1e3).toPrecision(3)} ms`;
  return `${(value / 1e6).toFixed(2)} s`;
}

function bytes(value) {
  if (Math.abs(value) < 1024) return `${value.toFixed(0)} B`;
  return value < 1048576 ? `${(value / 1024).toFixed(1)} KiB` : `${(value / 1048576).toFixed(1)} MiB`;
}

function write(unit, value) {
  switch (unit) {
    case "Latency": return micros(value);
    case "Bytes": return bytes(value);
    case "PerSecond": return rate(value);
    case "Count": return group(value.toFixed(0));
    case "Share": return `${(value * 100).toFixed(1)} %`;
    default: return String(Math.round(value * 100) / 100);
  }
}

/** Turns a share of an axis back into what stands there: `Log,100,50000,Latency`. */
function axis(text) {
  const [scale, low, high, unit] = text.split(",");
  const [from, to] = [Number(low), Number(high)];
  const value = {
    Linear: (at) => from + at * (to - from),
    Log: (at) => from * (to / from) ** at,
    Nines: (at) => 1 - (1 - to) ** at,
  }[scale];
  if (scale !== "Nines") return (at) => write(unit, value(at));
  return (at) => `${(value(at) * 100).toFixed(Math.max(0, Math.ceil(-Math.log10(1 - value(at)) - 1)))} %`;
}

/** The points of a path, in shares of the plot. */
function points(path) {
  const numbers = path.getAttribute("d").replaceAll("h0", "").match(/[\d.]+/g).map(Number);
  return numbers.flatMap((x, at) => (at % 2 ? [] : [[x / 1000, 1 - numbers[at + 1] / 1000]]));
}

function nearest(line, at) {
  let [low, high] = [0, line.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (line[middle][0] < at) low = middle;
    else high = middle;
  }
  return at - line[low][0] < line[high][0] - at ? line[low] : line[high];
}

for (const plot of document.querySelectorAll("svg.plot")) {
  const [x, y] = [axis(plot.dataset.x), axis(plot.dataset.y)];
  const paths = [...plot.querySelectorAll(".lines path")];
  let lines = null;

  const cross = document.createElementNS("http://www.w3.org/2000/svg", "line");
  cross.setAttribute("class", "cross");
  cross.setAttribute("y2", "100%");
  plot.append(cross);
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  plot.after(tip);

  const hide = () => {
    tip.hidden = true;
    cross.removeAttribute("data-on");
  };
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("pointermove", (event) => {
    lines ??= paths.map(points);
    const box = plot.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width;
    if (at < 0 || at > 1) return hide();
    // The first curve says which points there are; the others are asked about the same place.
    const place = nearest(lines[0], at)[0];
    cross.setAttribute("x1", `${place * 100}%`);
    cross.setAttribute("x2", `${place * 100}%`);
    cross.setAttribute("data-on", "");
    const head = document.createElement("b");
    head.textContent = x(place);
    const rows = lines.map((line, number) => {
      const row = document.createElement("span");
      row.className = paths[number].getAttribute("class");
      row.textContent = paths[number].dataset.name;
      const value = document.createElement("em");
      const [where, height] = nearest(line, place);
      // Beyond this share of the plot the nearest point is on the other side of a gap.
      value.textContent = Math.abs(where - place) > 0.05 ? "–" : y(height);
      row.append(value);
      return row;
    });
    tip.replaceChildren(head, ...rows);
    tip.hidden = false;
    const frame = plot.parentElement.getBoundingClientRect();
    const inFrame = box.left - frame.left + place * box.width;
    tip.classList.toggle("before", place > 0.5);
    tip.style.setProperty("--x", `${inFrame}px`);
  });
}
