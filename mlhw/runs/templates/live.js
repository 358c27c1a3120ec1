"use strict";
// Figures that can be read, zoomed and moved. Each <script class="live"> of the page holds the run's own
// numbers (mlhw/result/live.py says which); its figure gets a button that shows them in the picture's place.
// Without this script, and on paper, the pictures stand as they are.
(() => {
  const MARGIN = { left: 66, right: 12, top: 10, bottom: 46 }; // pixels for ticks and names
  const LEAST_DRAG = 8; // pixels; less is a click
  const DIGITS = 8; // as in the report's tables
  const FAR = 1e5; // pixels outside of the axes beyond which browsers draw lines wrongly

  // ---------------------------------------------------------------- elements and numbers

  // HTML's parser knows SVG by itself, and a page that names no address fetches none.
  const template = document.createElement("template");
  template.innerHTML = "<svg></svg>";
  const NAMESPACE = template.content.firstChild.namespaceURI;

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function drawn(tag, attributes = {}, ...children) {
    const made = document.createElementNS(NAMESPACE, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // So many significant digits, written as the tables write them: 0.3, 1.5e-07.
  function text(value, digits = DIGITS) {
    if (value === null || !Number.isFinite(value)) return "-";
    if (value === 0) return "0";
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    if (+power >= -4 && +power < digits) return String(Number(value.toPrecision(digits)));
    return `${Number(mantissa)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
  }

  const raised = number => [...String(number)].map(c => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
  // As in the drawn figures: style.css has other tones of some colours for dark pages.
  const ink = colour => `var(--f-${colour.slice(1).toLowerCase()}, ${colour})`;
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // ---------------------------------------------------------------- axes

  // From values to a straight axis and back. A count's logarithm is straight below 1, so that 0 has a place.
  const SCALES = {
    straight: { to: v => v, from: u => u },
    log: { to: v => (v > 0 ? Math.log10(v) : NaN), from: u => 10 ** u },
    count: { to: v => (v < 1 ? v : 1 + Math.log10(v)), from: u => (u < 1 ? u : 10 ** (u - 1)) },
  };

  const power10 = power => Number(`1e${power}`); // 10 ** -3 is not quite 0.001
  const decade = power => (power >= -3 && power <= 3 ? String(power10(power)) : `10${raised(power)}`);

  // Round values between two ends of an axis: at most `most` of them, where they are few enough.
  function ticks([low, high], scale, most) {
    const from = scale.from(low), to = scale.from(high);
    const curved = scale !== SCALES.straight, least = scale === SCALES.count ? 1 : 1e-300;
    const first = Math.floor(Math.log10(Math.max(from, least))), last = Math.floor(Math.log10(Math.max(to, least)) + 1e-9);
    const within = value => value >= from * (1 - 1e-9) && value <= to * (1 + 1e-9);
    const found = [];
    if (curved && to > 3 * Math.max(from, least)) {
      if (from <= 0) found.push({ value: 0, words: "0" });
      const parts = 3 * (last - first) < most ? [1, 2, 5] : [1];
      const step = Math.max(1, Math.ceil((last - first) / most));
      for (let power = Math.ceil(first / step) * step; power <= last; power += step) {
        for (const part of parts) {
          const value = part * power10(power);
          if (within(value)) found.push({ value, words: part === 1 ? decade(power) : text(value, 6) });
        }
      }
      return found;
    }
    const raw = (to - from) / most, power = Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map(factor => factor * power10(power)).find(one => one >= raw * (1 - 1e-9));
    for (let i = Math.ceil(from / step - 1e-9); i * step <= to + 1e-9 * step; i += 1) {
      found.push({ value: i * step, words: text(Number((i * step).toPrecision(12)), 6) });
    }
    return found;
  }

  // The ends of some values on a scale, with a little air; equal ends are moved apart.
  function ends(values, scale, air) {
    let low = Infinity, high = -Infinity;
    for (const value of values) {
      const u = value === null ? NaN : scale.to(value);
      if (u < low) low = u;
      if (u > high) high = u;
    }
    if (low > high) return [0, 1];
    const margin = high > low ? air * (high - low) : 0.5 * Math.abs(low) || 0.5;
    return [low - margin, high + margin];
  }

  // One drawing with two axes: it keeps what is in view and is zoomed by drag, wheel and keys.
  //   x, y      { name, scale, whole, home }: ends on the scale, of all there is and of what is shown first
  //   draw      (layer, X, Y) puts shapes into the layer; X and Y give pixels for values
  //   read      (value, by keyboard) is told where the reader points to; null when nowhere
  //   step      (value, count) gives the value that many points further on
  class Axes {
    constructor(label, { x, y, draw, read, step }) {
      Object.assign(this, { x, y, draw, read, step, at: null });
      this.svg = drawn("svg", { tabindex: 0, role: "application", "aria-label": label, class: "axes" });
      this.goHome();
      const on = (name, action, options) => this.svg.addEventListener(name, action.bind(this), options);
      on("pointerdown", this.press);
      on("pointermove", this.point);
      on("pointerup", this.release);
      on("pointercancel", () => { this.drag = null; this.show(); });
      on("pointerleave", () => { if (!this.drag) this.point(null); });
      on("dblclick", this.reset);
      on("wheel", this.wheel, { passive: false });
      on("keydown", this.key);
      new ResizeObserver(() => this.show()).observe(this.svg);
    }

    goHome() { for (const axis of [this.x, this.y]) axis.view = [...axis.home]; }

    reset() { this.goHome(); this.show(); }

    get isHome() {
      return [this.x, this.y].every(axis => axis.view[0] === axis.home[0] && axis.view[1] === axis.home[1]);
    }

    // Where the axes lie in the drawing, in pixels.
    get box() {
      const { width, height } = this.svg.getBoundingClientRect();
      return {
        left: MARGIN.left, top: MARGIN.top,
        width: Math.max(1, width - MARGIN.left - MARGIN.right), height: Math.max(1, height - MARGIN.top - MARGIN.bottom),
      };
    }

    show() {
      const box = this.box;
      const along = (axis, size, flip) => value => {
        const share = (axis.scale.to(value) - axis.view[0]) / (axis.view[1] - axis.view[0]);
        return clamp(size * (flip ? 1 - share : share), -FAR, FAR);
      };
      const X = along(this.x, box.width, false), Y = along(this.y, box.height, true);
      const grid = drawn("g", { class: "grid" });
      const inner = drawn("svg", { x: box.left, y: box.top, width: box.width, height: box.height, class: "inner" });
      for (const { value, words } of ticks(this.x.view, this.x.scale, Math.max(2, Math.floor(box.width / 70)))) {
        const px = box.left + X(value);
        grid.append(drawn("line", { x1: px, x2: px, y1: box.top, y2: box.top + box.height }));
        grid.append(drawn("text", { x: px, y: box.top + box.height + 18, "text-anchor": "middle" }, words));
      }
      for (const { value, words } of ticks(this.y.view, this.y.scale, Math.max(2, Math.floor(box.height / 45)))) {
        const py = box.top + Y(value);
        grid.append(drawn("line", { x1: box.left, x2: box.left + box.width, y1: py, y2: py }));
        grid.append(drawn("text", { x: box.left - 6, y: py + 4, "text-anchor": "end" }, words));
      }
      const middle = box.top + box.height / 2;
      const names = drawn("g", { class: "names" },
        drawn("text", { x: box.left + box.width / 2, y: box.top + box.height + 38, "text-anchor": "middle" }, this.x.name),
        drawn("text", { x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` }, this.y.name));
      this.draw(inner, X, Y);
      if (this.at !== null) {
        inner.append(drawn("line", { x1: X(this.at), x2: X(this.at), y1: 0, y2: box.height, class: "guide" }));
      }
      if (this.drag) {
        const [a, b] = [this.drag.from, this.drag.to];
        inner.append(drawn("rect", {
          x: Math.min(a.x, b.x), y: Math.min(a.y, b.y), width: Math.abs(a.x - b.x), height: Math.abs(a.y - b.y), class: "drag",
        }));
      }
      this.svg.replaceChildren(grid, inner, names);
      this.changed?.();
    }

    // A pointer's place in pixels of the axes, kept within them.
    place(event) {
      const outer = this.svg.getBoundingClientRect(), box = this.box;
      return {
        x: clamp(event.clientX - outer.left - box.left, 0, box.width),
        y: clamp(event.clientY - outer.top - box.top, 0, box.height),
      };
    }

    // The point of the straight axis at some pixels.
    under(axis, pixels) {
      const box = this.box, share = axis === this.x ? pixels / box.width : 1 - pixels / box.height;
      return axis.view[0] + share * (axis.view[1] - axis.view[0]);
    }

    press(event) {
      if (event.button !== 0) return;
      this.svg.focus({ preventScroll: true });
      try { this.svg.setPointerCapture(event.pointerId); } catch { /* an event made by a script has no pointer */ }
      this.drag = { from: this.place(event), to: this.place(event) };
    }

    point(event) {
      if (this.drag) this.drag.to = this.place(event);
      else if (this.read) this.moveTo(event && this.x.scale.from(this.under(this.x, this.place(event).x)), false);
      this.show();
    }

    moveTo(value, byKey) { this.at = this.read(value, byKey); }

    release(event) {
      if (!this.drag) return;
      const { from, to } = this.drag;
      this.drag = null;
      // A stretch that is narrow one way leaves that axis as it is.
      for (const [axis, a, b] of [[this.x, from.x, to.x], [this.y, from.y, to.y]]) {
        if (Math.abs(a - b) < LEAST_DRAG) continue;
        const found = [this.under(axis, a), this.under(axis, b)].sort((p, q) => p - q);
        axis.next = found;
      }
      for (const axis of [this.x, this.y]) {
        if (axis.next) axis.view = axis.next;
        delete axis.next;
      }
      this.point(event);
    }

    // The page scrolls with the wheel as always; a figure that has been clicked into takes it.
    wheel(event) {
      if (document.activeElement !== this.svg && !event.ctrlKey) return;
      event.preventDefault();
      const at = this.place(event);
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.under(this.x, at.x), this.under(this.y, at.y));
    }

    zoom(factor, x, y) {
      for (const [axis, centre] of [[this.x, x], [this.y, y]]) {
        const [low, high] = axis.view.map(end => centre + factor * (end - centre));
        axis.view = [Math.max(low, Math.min(axis.whole[0], axis.home[0])), Math.min(high, Math.max(axis.whole[1], axis.home[1]))];
      }
      this.show();
    }

    key(event) {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const middle = axis => (axis.view[0] + axis.view[1]) / 2;
      const steps = { ArrowRight: 1, ArrowLeft: -1, PageDown: 20, PageUp: -20, Home: -Infinity, End: Infinity };
      const x = this.at === null ? middle(this.x) : this.x.scale.to(this.at);
      if (event.key === "+" || event.key === "=") this.zoom(0.8, x, middle(this.y));
      else if (event.key === "-") this.zoom(1.25, x, middle(this.y));
      else if (event.key === "0" || event.key === "Escape") this.reset();
      else if (event.key in steps && this.step) {
        const next = this.step(this.at ?? this.x.scale.from(this.x.view[0]), this.at === null ? 0 : steps[event.key]);
        this.moveTo(next, true);
        // What is in view follows.
        const at = this.x.scale.to(next), [low, high] = this.x.view;
        const by = at < low ? at - low : at > high ? at - high : 0;
        this.x.view = [low + by, high + by];
        this.show();
      } else return;
      event.preventDefault();
    }
  }

  // ---------------------------------------------------------------- what figures share

  // A row for each line: whether it is shown, how it looks, and a place for its value.
  function legend(lines, change) {
    const rows = element("ul", { class: "legend" });
    for (const line of lines) {
      const box = element("input", { type: "checkbox" });
      box.checked = line.on = true;
      box.addEventListener("change", () => { line.on = box.checked; change(); });
      const sample = drawn("svg", { width: 30, height: 10, "aria-hidden": "true" },
        drawn("line", { x1: 0, x2: 30, y1: 5, y2: 5, stroke: ink(line.colour), "stroke-width": 2, "stroke-dasharray": line.dash }));
      line.value = element("span", { class: "value" });
      rows.append(element("li", {}, element("label", {}, box, sample, ` ${line.label} `), line.value));
    }
    return rows;
  }

  function checkbox(words, checked, change) {
    const box = element("input", { type: "checkbox" });
    box.checked = checked;
    box.addEventListener("change", () => change(box.checked));
    return element("label", { class: "switch" }, box, ` ${words}`);
  }

  function button(words, action) {
    const made = element("button", { type: "button" }, words);
    made.addEventListener("click", action);
    return made;
  }

  function resetButton(...all) {
    const made = button("whole view", () => { for (const axes of all) axes.reset(); });
    for (const axes of all) axes.changed = () => { made.disabled = all.every(one => one.isHome); };
    return made;
  }

  const note = words => element("p", { class: "hint" }, words);
  const KEYS = "Drag to zoom into a part, double-click for the whole; after a click the wheel zooms. With the keyboard: + and − zoom, 0 shows the whole";

  function left(data, noun) {
    return data.shown < data.points
      ? ` Of ${data.points.toLocaleString("en")} ${noun} ${data.shown.toLocaleString("en")} are here, the lowest and the highest of each stretch among them; the files have them all.`
      : "";
  }

  // ---------------------------------------------------------------- curves

  // The place of the value in a rising list that is nearest to one.
  function nearest(rising, value) {
    let low = 0, high = rising.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (rising[middle] <= value) low = middle; else high = middle;
    }
    return Math.abs(rising[low] - value) <= Math.abs(rising[high] - value) ? low : high;
  }

  function outline(line, key, X, Y) {
    let way = "", open = false;
    line[key].forEach((value, i) => {
      const py = value === null ? NaN : Y(value), px = X(line.x[i]);
      if (Number.isNaN(py) || Number.isNaN(px)) { open = false; return; }
      way += `${open ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`;
      if (!open && line[key][i + 1] == null) way += "h.1"; // a value by itself is a dot
      open = true;
    });
    return way;
  }

  function curves(data, label) {
    const lines = data.series;
    const shown = () => lines.filter(line => line.on);
    const axis = name => ({ name, scale: SCALES.straight, view: null });
    const x = axis(data.x), y = axis(data.y);
    const counts = lines.every(line => line.x.every(value => value >= 0));

    // What there is of the lines that are shown; `fresh` also puts it all in view.
    function fit(fresh) {
      const some = shown().length ? shown() : lines;
      const heights = some.flatMap(line => [...line.y, ...(line.low ?? []), ...(line.high ?? [])]);
      const levels = data.levels.map(level => level.y);
      x.whole = x.home = ends(some.flatMap(line => line.x), x.scale, 0.02);
      y.whole = ends([...heights, ...levels], y.scale, 0.05);
      const calm = data.most === null || y.scale !== SCALES.straight ? heights : heights.filter(v => v !== null && v <= data.most);
      y.home = ends([...(calm.length ? calm : heights), ...levels], y.scale, 0.05);
      if (fresh) axes.reset(); else axes.show();
    }

    const status = element("span", { role: "status", class: "at" });
    function read(value, byKey) {
      const some = shown();
      if (value === null || !some.length) {
        for (const line of lines) { line.value.textContent = ""; line.here = null; }
        status.textContent = "";
        return null;
      }
      const found = some.map(line => [line, nearest(line.x, value)]);
      const [first, place] = found.reduce((a, b) => (Math.abs(b[0].x[b[1]] - value) < Math.abs(a[0].x[a[1]] - value) ? b : a));
      const at = first.x[place];
      const words = [`${data.x} ${text(at, 12)}`];
      for (const line of lines) { line.value.textContent = ""; line.here = null; }
      for (const [line] of found) {
        const i = nearest(line.x, at), where = line.x[i] === at ? "" : ` (at ${text(line.x[i], 12)})`;
        line.here = i;
        line.value.textContent = text(line.y[i]) + where;
        words.push(`${line.label}: ${line.value.textContent}`);
      }
      // Sighted readers have the values in the legend; they are said only to those who move by keys.
      status.replaceChildren(words[0], element("span", { class: "unseen" }, byKey ? `; ${words.slice(1).join("; ")}` : ""));
      return at;
    }

    function step(value, count) {
      const all = [...new Set(shown().flatMap(line => line.x))].sort((a, b) => a - b);
      return all.length ? all[clamp(nearest(all, value) + count, 0, all.length - 1)] : value;
    }

    function draw(inner, X, Y) {
      for (const level of data.levels) {
        inner.append(drawn("line", { x1: 0, x2: "100%", y1: Y(level.y), y2: Y(level.y), class: "level" },
          drawn("title", {}, `${level.label}: ${text(level.y)}`)));
        inner.append(drawn("text", { x: "99%", y: Y(level.y) - 4, "text-anchor": "end", class: "named" }, level.label));
      }
      for (const line of shown()) {
        const look = { stroke: ink(line.colour), "stroke-dasharray": line.dash };
        if (line.low && line.high) {
          const both = { x: [...line.x, ...[...line.x].reverse()], y: [...line.high, ...[...line.low].reverse()] };
          inner.append(drawn("path", { d: outline(both, "y", X, Y), fill: ink(line.colour), class: "band" }));
        }
        inner.append(drawn("path", { d: outline(line, "y", X, Y), ...look, class: "line" }));
        const y = line.here == null ? NaN : line.y[line.here] === null ? NaN : Y(line.y[line.here]);
        if (!Number.isNaN(y)) inner.append(drawn("circle", { cx: X(line.x[line.here]), cy: y, r: 4, fill: ink(line.colour) }));
      }
    }

    const rows = legend(lines, () => { read(null); axes.at = null; fit(axes.isHome); });
    function scaled(axis, scale) {
      axis.scale = scale;
      fit(true);
    }
    for (const one of [x, y]) one.home = one.whole = [0, 1];
    const axes = new Axes(`${label}: read, zoom`, { x, y, draw, read, step });
    const controls = element("div", { class: "controls" });
    controls.append(checkbox(`${data.x} logarithmic`, data.logX && counts, on => scaled(x, on ? SCALES.count : SCALES.straight)));
    if (counts) x.scale = data.logX ? SCALES.count : SCALES.straight; else controls.lastChild.remove();
    if (lines.some(line => line.y.some(value => value > 0))) {
      controls.append(checkbox(`${data.y} logarithmic`, data.logY, on => scaled(y, on ? SCALES.log : SCALES.straight)));
      y.scale = data.logY ? SCALES.log : SCALES.straight;
    }
    controls.append(resetButton(axes), status);
    const hint = note(`Point to a place to read the values there. ${KEYS}, the arrow keys read value by value.${left(data, "values")}`);
    return [[controls, axes.svg, rows, hint], () => fit(true)];
  }

  // ---------------------------------------------------------------- the plane of the points

  // Two points of w1 x + w2 y + bias = level in a box, or null: solved for the larger weight's coordinate.
  function line([w1, w2, bias], level, [left, right], [bottom, top]) {
    if (!(Math.max(Math.abs(w1), Math.abs(w2)) > 0)) return null;
    return Math.abs(w1) > Math.abs(w2)
      ? [bottom, top].map(y => [(level - bias - w2 * y) / w1, y])
      : [left, right].map(x => [x, (level - bias - w1 * x) / w2]);
  }

  function plane(data, label) {
    const paths = data.paths;
    const last = data.steps.length - 1;
    let now = last;
    for (const path of paths) {
      // The line y = slope x + intercept, as the course draws it; none where w2 is 0.
      path.way = path.w.map(([w1, w2, bias]) => (w2 ? [-w1 / w2, -bias / w2] : [null, null]));
    }
    const shown = () => paths.filter(path => path.on);
    const here = path => Math.min(now, path.nll.length - 1);
    const goal = data.optimum && data.optimum.w[1] ? [-data.optimum.w[0] / data.optimum.w[1], -data.optimum.w[2] / data.optimum.w[1]] : null;

    function axis(name, values, middle, air) {
      const sorted = values.filter(value => value !== null).sort((a, b) => a - b);
      const whole = ends(sorted, SCALES.straight, air);
      // The first lines can be far out: nine tenths of all make the view, and what is named.
      const cut = sorted.slice(Math.floor(0.05 * sorted.length), Math.ceil(0.95 * sorted.length));
      return { name, scale: SCALES.straight, whole, home: middle && cut.length > 20 ? ends([...cut, ...middle], SCALES.straight, 0.12) : whole };
    }

    function drawPoints(inner, X, Y) {
      data.dots.forEach((dots, kind) => {
        for (const [x, y] of dots.xy) {
          inner.append(kind
            ? drawn("rect", { x: X(x) - 3.5, y: Y(y) - 3.5, width: 7, height: 7, class: "second" })
            : drawn("circle", { cx: X(x), cy: Y(y), r: 3.5, class: "first" }));
        }
      });
      const box = [points.x.view, points.y.view];
      const put = (w, level, look) => {
        const ends = line(w, level, ...box);
        if (!ends) return null;
        const [[x1, y1], [x2, y2]] = ends;
        const made = drawn("line", { x1: X(x1), y1: Y(y1), x2: X(x2), y2: Y(y2), ...look });
        inner.append(made);
        return made;
      };
      if (data.optimum) put(data.optimum.w, 0, { class: "level" });
      for (const path of shown()) {
        const w = path.w[here(path)], look = { stroke: ink(path.colour) };
        for (const level of [-Math.log(9), Math.log(9)]) put(w, level, { ...look, class: "margin" });
        put(w, 0, { ...look, "stroke-dasharray": path.dash, class: "line separator" });
      }
    }

    function drawWays(inner, X, Y) {
      for (const path of shown()) {
        const xy = { x: path.way.map(p => p[0]), y: path.way.map(p => p[1]) }, end = here(path);
        const part = { x: xy.x.slice(0, end + 1), y: xy.y.slice(0, end + 1) };
        const look = { stroke: ink(path.colour) };
        inner.append(drawn("path", { d: outline(xy, "y", X, Y), ...look, class: "line ahead" }));
        inner.append(drawn("path", { d: outline(part, "y", X, Y), ...look, class: "line" }));
        const [slope, intercept] = path.way[end];
        if (slope !== null) inner.append(drawn("circle", { cx: X(slope), cy: Y(intercept), r: 5, fill: ink(path.colour) }));
      }
      if (goal) inner.append(drawn("text", { x: X(goal[0]), y: Y(goal[1]) + 6, class: "star" }, "★", drawn("title", {}, "optimum")));
    }

    const all = data.dots.flatMap(dots => dots.xy);
    const points = new Axes(`${label}: points and separators, zoom`, {
      x: axis(data.names[0], all.map(p => p[0]), null, 0.06), y: axis(data.names[1], all.map(p => p[1]), null, 0.06), draw: drawPoints,
    });
    const ways = new Axes(`${label}: path of slope and intercept, zoom`, {
      x: axis("slope −w1/w2", paths.flatMap(p => p.way.map(v => v[0])), goal ? [goal[0]] : [], 0.05),
      y: axis("intercept −bias/w2", paths.flatMap(p => p.way.map(v => v[1])), goal ? [goal[1]] : [], 0.05), draw: drawWays,
    });

    const slider = element("input", { type: "range", min: 0, max: last, step: 1, "aria-label": data.step });
    const count = element("output", { class: "at" });
    function go(place) {
      now = clamp(place, 0, last);
      slider.value = now;
      count.textContent = `${data.step} ${data.steps[now]}`;
      const words = [];
      for (const path of paths) {
        const i = here(path), stopped = now > i ? `, stopped at ${data.steps[i]}` : "";
        path.value.textContent = path.on ? `NLL ${text(path.nll[i])}${stopped}` : "";
        path.value.title = `w = [${path.w[i].map(v => text(v, 6)).join(", ")}]`;
        if (path.on) words.push(`${path.label}: ${path.value.textContent}`);
      }
      slider.setAttribute("aria-valuetext", `${count.textContent}; ${words.join("; ")}`);
      points.show();
      ways.show();
    }

    let playing = null;
    const play = button("play", () => {
      if (playing !== null) return pause();
      if (now === last) go(0);
      play.textContent = "pause";
      const begun = performance.now(), from = now;
      // The early steps move most: time runs with the root of the steps, all of them in eight seconds.
      const frame = time => {
        const share = Math.sqrt(from / Math.max(1, last)) + (time - begun) / 8000;
        go(Math.round(last * Math.min(1, share) ** 2));
        if (share >= 1) pause(); else playing = requestAnimationFrame(frame);
      };
      playing = requestAnimationFrame(frame);
    });
    function pause() {
      cancelAnimationFrame(playing);
      playing = null;
      play.textContent = "play";
    }
    slider.addEventListener("input", () => { pause(); go(+slider.value); });

    const rows = legend(paths, () => go(now));
    const controls = element("div", { class: "controls" }, element("label", { class: "slide" }, `${data.step} `, slider), count, play, resetButton(points, ways));
    const thinned = data.steps.length < data.every ? ` The slider stops at ${data.steps.length.toLocaleString("en")} of ${data.every.toLocaleString("en")} ${data.step}s.` : "";
    const hint = note(
      `Move the slider, by pointer or with the arrow keys. Left: the line where both classes have probability 1/2, fainter those of 0.1 and 0.9${data.optimum ? ", dotted the optimum's" : ""}. Right: the way that its slope and intercept have gone. ${KEYS}.${thinned}${left(data, "points")}`);
    return [[controls, element("div", { class: "two" }, points.svg, ways.svg), rows, hint], () => go(last)];
  }

  // ---------------------------------------------------------------- in the page

  const KINDS = { curves: [curves, "Explore: values, zoom, logarithm"], plane: [plane, "Explore: move the separator"] };

  document.querySelectorAll("script.live").forEach(script => {
    const figure = script.closest("figure");
    const picture = figure.querySelector(".picture") ?? figure.querySelector("img");
    const data = JSON.parse(script.textContent);
    const [make, words] = KINDS[data.kind];
    const panel = element("div", { class: "explored", role: "group", "aria-label": data.title, hidden: "" });
    const toggle = button(words, () => {
      const opens = panel.hidden;
      panel.hidden = !opens;
      picture.classList.toggle("aside", opens);
      toggle.textContent = opens ? "Back to the picture" : words;
      toggle.setAttribute("aria-expanded", opens);
      if (!opens || panel.firstChild) return;
      const [parts, begin] = make(data, data.title);
      panel.append(...parts);
      begin(); // in the page, where it has a size
    });
    toggle.className = "explore";
    toggle.setAttribute("aria-expanded", "false");
    script.after(toggle, panel);
  });
})();
