"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const clock = data.clock;
  const space = document.querySelector("svg").namespaceURI;
  const HOUR = 3600;
  const last = clock.ticks - 1;

  // Small tools. Names are only ever set as text.
  const make = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    for (const child of children) node.append(child);
    return node;
  };
  const html = (name, attributes, ...children) => make(document.createElement(name), attributes, children);
  const drawn = (name, attributes, ...children) => make(document.createElementNS(space, name), attributes, children);
  const figure = (value, places = 1) =>
    value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places }).replace(/^-(0(\.0+)?)$/, "$1").replace("-", "−");
  const said = (name, value) => html("span", { class: "said" }, `· ${name} `, html("b", {}, value));
  const moment = tick => new Date((clock.first + tick * clock.every) * 1000);
  const stamp = tick => moment(tick).toISOString().slice(0, 16).replace("T", " ");
  const own = name => `--own: var(--${name})`;
  const venueStyle = place => own(`v${place % 8}`);
  const dashed = place => (place < 8 ? {} : { "stroke-dasharray": `${2 + (place >> 3)} 3` });

  // Axes
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const timeMarks = (from, to, room) => {
    const start = moment(from).getTime(), end = moment(to).getTime(), most = Math.max(2, room / 66);
    for (const hours of [1, 3, 6, 12, 24, 48, 96, 168, 336, 504]) {
      const step = hours * HOUR * 1000;
      if ((end - start) / step > most) continue;
      const marks = [];
      for (let at = Math.ceil(start / step) * step; at <= end; at += step) {
        const when = new Date(at), midnight = when.getUTCHours() === 0;
        const day = `${when.getUTCDate()} ${MONTHS[when.getUTCMonth()]}`;
        marks.push([at, midnight ? day : when.toISOString().slice(11, 16)]);
      }
      return marks;
    }
    for (const months of [1, 2, 3, 6, 12, 24, 60, 120]) {
      if ((end - start) / (months * 30.4 * 24 * HOUR * 1000) > most) continue;
      const marks = [], first = new Date(start);
      for (let month = 0; ; month += 1) {
        const at = Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + month, 1), when = new Date(at);
        if (at > end) return marks;
        if (at < start || when.getUTCMonth() % Math.min(months, 12) || (months > 12 && when.getUTCFullYear() % (months / 12))) continue;
        const year = when.getUTCMonth() === 0 || !marks.length || months > 12;
        marks.push([at, MONTHS[when.getUTCMonth()] + (year ? ` ${when.getUTCFullYear()}` : "")]);
      }
    }
    return [];
  };
  const valueMarks = (low, high, most) => {
    const rough = (high - low) / most || 1, size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map(one => one * size).find(one => one >= rough);
    const marks = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) marks.push(Math.abs(at) < step / 1e6 ? 0 : at);
    return { marks, places: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  };
  const axes = (svg, box, view, low, high, y) => {
    const { marks, places } = valueMarks(low, high, box.tall / 42);
    for (const value of marks) {
      svg.append(drawn("line", { class: value ? "grid" : "zero", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }));
      svg.append(drawn("text", { x: box.left - 7, y: y(value) + 4, "text-anchor": "end" }, figure(value, places)));
    }
    const span = moment(view[1]) - moment(view[0]) || 1;
    for (const [at, label] of timeMarks(view[0], view[1], box.right - box.left)) {
      const x = box.left + ((at - moment(view[0])) / span) * (box.right - box.left);
      svg.append(drawn("line", { class: "grid", x1: x, x2: x, y1: box.top, y2: box.bottom }));
      if (x > box.left + 12 && x < box.right - 18) svg.append(drawn("text", { x, y: box.bottom + 16, "text-anchor": "middle" }, label));
    }
  };
  const clear = (svg, wide, tall) => {
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${wide} ${tall}`);
    svg.setAttribute("height", tall);
  };
  const chip = (label, style, pressed, act) => {
    const button = html("button", { type: "button", "aria-pressed": String(pressed), style }, html("b"), label);
    button.addEventListener("click", () => {
      const now = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(now));
      act(now);
    });
    return button;
  };

  // Equity
  const COLOURS = { strategy: "strategy", "hold-through": "hold", optimum: "optimum" };
  const equity = (() => {
    const place = document.getElementById("equity");
    const lines = data.equity.lines.map(line => ({ name: line.name, shown: true, values: line.values.map(one => one / data.equity.unit) }));
    if (!lines.length) return () => {};
    place.hidden = false;
    const svg = place.querySelector("svg"), readout = place.querySelector(".readout"), ticks = data.equity.ticks;
    const tell = at => {
      readout.replaceChildren(html("b", {}, `${stamp(ticks[at])} UTC`));
      for (const line of lines) readout.append(" ", said(line.name, `${figure(line.values[at])} bp`));
    };
    const draw = () => {
      const wide = svg.parentNode.clientWidth, narrow = wide < 620, tall = narrow ? 240 : 330;
      clear(svg, wide, tall);
      const shown = lines.filter(line => line.shown);
      const all = [0, ...shown.flatMap(line => line.values)];
      let low = Math.min(...all), high = Math.max(...all);
      const pad = (high - low) * 0.04 || 1;
      low -= low < 0 ? pad : 0;
      high += pad;
      const box = { left: narrow ? 58 : 66, right: wide - (narrow ? 6 : 150), top: 8, bottom: tall - 24, tall: tall - 32 };
      const x = tick => box.left + (last ? tick / last : 0.5) * (box.right - box.left);
      const y = value => box.bottom - ((value - low) / (high - low)) * box.tall;
      axes(svg, box, [0, last], low, high, y);
      for (const line of shown) {
        const path = line.values.map((value, at) => `${at ? "L" : "M"}${x(ticks[at]).toFixed(1)} ${y(value).toFixed(1)}`).join("");
        svg.append(drawn("path", { class: "line", d: path, style: own(COLOURS[line.name]) }));
      }
      if (!narrow) {
        const ends = shown.map(line => ({ line, y: y(line.values.at(-1)) })).sort((one, other) => one.y - other.y);
        for (let round = 0; round < 20; round += 1)
          for (let at = 1; at < ends.length; at += 1) {
            const close = 16 - (ends[at].y - ends[at - 1].y);
            if (close > 0) { ends[at].y += close / 2; ends[at - 1].y -= close / 2; }
          }
        for (const { line, y: height } of ends)
          svg.append(drawn("text", { class: "end", x: box.right + 8, y: height + 4, style: own(COLOURS[line.name]) }, `${line.name} ${figure(line.values.at(-1), 0)}`));
      }
      const cross = drawn("line", { class: "cross", y1: box.top, y2: box.bottom, visibility: "hidden" });
      svg.append(cross);
      svg.onpointermove = event => {
        const tick = ((event.clientX - svg.getBoundingClientRect().left - box.left) / (box.right - box.left)) * last;
        let near = 0;
        ticks.forEach((one, at) => { if (Math.abs(one - tick) < Math.abs(ticks[near] - tick)) near = at; });
        cross.setAttribute("x1", x(ticks[near]));
        cross.setAttribute("x2", x(ticks[near]));
        cross.setAttribute("visibility", "visible");
        tell(near);
      };
      svg.onpointerleave = () => { cross.setAttribute("visibility", "hidden"); tell(ticks.length - 1); };
    };
    place.querySelector(".chips").append(...lines.map(line => chip(line.name, own(COLOURS[line.name]), true, now => { line.shown = now; draw(); })));
    tell(ticks.length - 1);
    return draw;
  })();

  // Positions over the rates
  const positions = (() => {
    const place = document.getElementById("positions");
    const find = name => place.querySelector(name);
    const svg = find("svg"), readout = find(".readout"), chooser = find(".symbol"), rows = find("tbody");
    if (!data.symbols.length) { place.hidden = true; return () => {}; }
    let drawnStep = 1, symbol = data.symbols[0], course = "strategy", view = [0, last];
    const hidden = new Set();

    const read = market => {
      if (!market.values) {
        let before = NaN;
        market.values = Float64Array.from(market.rates.split(","), text => (before = text === "" ? before : text === "x" ? NaN : Number(text) / 100));
      }
      return market.values;
    };
    // What is drawn are means of as many values as make a step wide enough to be seen.
    const coarse = (market, size) => {
      if (size === 1) return read(market);
      if (market.size !== size) {
        const values = read(market);
        market.size = size;
        market.coarse = Float64Array.from({ length: Math.ceil(values.length / size) }, (_, at) => {
          const known = Array.from(values.subarray(at * size, (at + 1) * size)).filter(value => !Number.isNaN(value));
          return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : NaN;
        });
      }
      return market.coarse;
    };
    const holds = name => {
      const flat = symbol.held[name] || [], found = [];
      for (let at = 0; at < flat.length; at += 5) found.push({ from: flat[at], to: flat[at + 1], long: flat[at + 2], short: flat[at + 3], funding: flat[at + 4] / 100 });
      return found;
    };
    const pair = (long, short) => `long ${data.venues[long]}, short ${data.venues[short]}`;
    const rateAt = (venue, tick) => {
      const market = symbol.markets.find(one => one.venue === venue);
      return market ? read(market)[Math.floor(tick / symbol.width)] : NaN;
    };
    const tradeText = trade => {
      const [, action, reason, long, short, toLong, toShort, other] = trade;
      const to = toLong >= 0 ? `, to ${other ? `${other} ` : ""}${pair(toLong, toShort)}` : "";
      return `${data.actions[action]} ${pair(long, short)}${to}: ${data.reasons[reason]}`;
    };

    const draw = () => {
      const markets = symbol.markets, wide = svg.parentNode.clientWidth, narrow = wide < 620;
      const letters = Math.max(...markets.map(market => data.venues[market.venue].length));
      const left = Math.min(narrow ? 96 : 150, Math.max(60, letters * 7.4 + 10));
      const lane = narrow ? 20 : 24, strip = 14;
      const box = { left, right: wide - 8, top: 8, tall: narrow ? 190 : 260 };
      box.bottom = box.top + box.tall;
      const lanes = box.bottom + 28 + strip, tall = lanes + markets.length * lane + 4;
      clear(svg, wide, tall);
      const [from, to] = view;
      const size = Math.max(1, Math.ceil((3 * (to - from)) / (symbol.width * Math.max(1, box.right - box.left))));
      const step = symbol.width * size;
      drawnStep = step;
      const x = tick => box.left + ((tick - from) / Math.max(1, to - from)) * (box.right - box.left);
      const inside = tick => Math.min(Math.max(tick, from), to);
      const first = Math.floor(from / step), end = Math.floor(to / step);
      const seen = markets.filter(market => !hidden.has(market.venue)).flatMap(market => Array.from(coarse(market, size).subarray(first, end + 1))).filter(value => !Number.isNaN(value)).sort((one, other) => one - other);
      const at = share => seen.length ? seen[Math.round((seen.length - 1) * share)] : 0;
      const trim = seen.length > 100 ? 0.006 : 0;
      let low = Math.min(0, at(trim)), high = Math.max(0, at(1 - trim));
      const pad = (high - low) * 0.06 || 0.5;
      low -= pad; high += pad;
      const y = value => box.bottom - ((value - low) / (high - low)) * box.tall;
      const held = y => Math.min(Math.max(y, box.top), box.bottom).toFixed(1);
      axes(svg, box, view, low, high, y);
      svg.append(drawn("text", { x: 2, y: box.top + 4 }, narrow ? "bp / 8 h" : ""));
      const frame = drawn("clipPath", { id: "frame" }, drawn("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.tall }));
      svg.append(frame);

      const current = holds(course).filter(hold => hold.to > from && hold.from < to);
      const between = { more: [], less: [] };
      for (const hold of current) {
        const long = markets.find(one => one.venue === hold.long), short = markets.find(one => one.venue === hold.short);
        if (!long || !short) continue;
        const pays = coarse(long, size), gets = coarse(short, size);
        for (let bucket = Math.floor(inside(hold.from) / step); bucket <= Math.floor((inside(hold.to) - 1e-9) / step); bucket += 1) {
          const one = x(inside(Math.max(hold.from, bucket * step))), other = x(inside(Math.min(hold.to, (bucket + 1) * step)));
          if (Number.isNaN(pays[bucket]) || Number.isNaN(gets[bucket]) || other <= one) continue;
          between[gets[bucket] >= pays[bucket] ? "more" : "less"].push(`M${one.toFixed(1)} ${held(y(pays[bucket]))}H${other.toFixed(1)}V${held(y(gets[bucket]))}H${one.toFixed(1)}Z`);
        }
      }
      for (const kind of ["more", "less"]) svg.append(drawn("path", { class: `between-${kind}`, d: between[kind].join("") }));

      for (const market of markets) {
        if (hidden.has(market.venue)) continue;
        const values = coarse(market, size), parts = [];
        let drawing = false;
        for (let bucket = first; bucket <= end && bucket < values.length; bucket += 1) {
          const value = values[bucket];
          if (Number.isNaN(value)) { drawing = false; continue; }
          const height = y(value).toFixed(1), start = x(inside(bucket * step)).toFixed(1), stop = x(inside((bucket + 1) * step)).toFixed(1);
          parts.push(drawing ? `V${height}H${stop}` : `M${start} ${height}H${stop}`);
          drawing = true;
        }
        svg.append(drawn("path", { class: "rate", d: parts.join(""), style: venueStyle(market.venue), "clip-path": "url(#frame)", ...dashed(market.venue) }));
      }

      const glyphs = [];
      const trades = course === "strategy" ? symbol.trades.filter(trade => trade[0] >= from && trade[0] <= to) : [];
      const top = lanes - strip + 2;
      for (const trade of trades) {
        const middle = x(trade[0]), name = data.actions[trade[1]];
        const shape = name === "OPEN" ? `M${middle - 4} ${top + 8}l4 -8l4 8z` : name === "SWITCH" ? `M${middle - 4} ${top + 4}l4 -4l4 4l-4 4z` : `M${middle - 4} ${top}l4 8l4 -8z`;
        glyphs.push(trades.length > 250 ? `M${middle} ${top}h.6v8h-.6z` : shape);
      }
      svg.append(drawn("path", { class: "marks", d: glyphs.join("") }));
      if (course === "strategy") svg.append(drawn("text", { x: box.left - 7, y: top + 8, "text-anchor": "end" }, "trades"));
      markets.forEach((market, row) => {
        const above = lanes + row * lane, middle = above + lane / 2;
        svg.append(drawn("line", { class: "grid", x1: box.left, x2: box.right, y1: above + lane, y2: above + lane }));
        const label = data.venues[market.venue], most = Math.floor((left - 10) / 7.2);
        svg.append(drawn("text", { class: "lane", x: box.left - 7, y: middle + 4, "text-anchor": "end", style: venueStyle(market.venue) }, label.length > most ? `${label.slice(0, most - 1)}…` : label, drawn("title", {}, label)));
        for (const side of ["long", "short"]) {
          const bars = current.filter(hold => hold[side] === market.venue).map(hold => {
            const one = x(inside(hold.from)), other = Math.max(one + 0.7, x(inside(hold.to)));
            return `M${one.toFixed(1)} ${above + 4}H${other.toFixed(1)}V${above + lane - 4}H${one.toFixed(1)}Z`;
          });
          if (bars.length) svg.append(drawn("path", { class: side, d: bars.join(""), style: venueStyle(market.venue) }));
        }
      });

      const cross = drawn("line", { class: "cross", y1: box.top, y2: tall, visibility: "hidden" });
      const chosen = drawn("rect", { class: "chosen", y: box.top, height: tall - box.top, visibility: "hidden" });
      svg.append(cross, chosen);
      const tickOf = event => inside(from + ((event.clientX - svg.getBoundingClientRect().left - box.left) / (box.right - box.left)) * (to - from));
      let start = null;
      svg.onpointerdown = event => { start = event.pointerType === "mouse" ? tickOf(event) : null; };
      svg.onpointermove = event => {
        const tick = Math.round(tickOf(event));
        cross.setAttribute("x1", x(tick));
        cross.setAttribute("x2", x(tick));
        cross.setAttribute("visibility", "visible");
        if (start !== null) {
          chosen.setAttribute("x", Math.min(x(start), x(tick)));
          chosen.setAttribute("width", Math.abs(x(tick) - x(start)));
          chosen.setAttribute("visibility", "visible");
        }
        tell(tick, current, trades, (to - from) / Math.max(1, box.right - box.left) * 5);
      };
      svg.onpointerup = event => {
        if (start === null) return;
        const ends = [start, tickOf(event)].map(Math.round).sort((one, other) => one - other);
        start = null;
        chosen.setAttribute("visibility", "hidden");
        if (x(ends[1]) - x(ends[0]) > 8) { view = ends; refresh(); }
      };
      svg.onpointerleave = () => { start = null; cross.setAttribute("visibility", "hidden"); chosen.setAttribute("visibility", "hidden"); hint(); };
      svg.ondblclick = () => { view = [0, last]; refresh(); };
    };

    const hint = () => {
      const bucket = drawnStep * clock.every;
      const means = drawnStep > 1 ? `Each step is a mean over ${bucket % (24 * HOUR) ? `${bucket / HOUR} h` : `${bucket / HOUR / 24} d`}. ` : "";
      readout.replaceChildren(html("span", { class: "far" }, `Rates per 8 h in bp. ${means}Point at the drawing to read it, drag over a part to look closer, double-click to see all.`));
    };
    const tell = (tick, current, trades, reach) => {
      readout.replaceChildren(html("b", {}, `${stamp(tick)} UTC`));
      for (const market of symbol.markets) {
        const rate = rateAt(market.venue, tick);
        readout.append(" ", said(data.venues[market.venue], Number.isNaN(rate) ? "–" : figure(rate, 2)));
      }
      const hold = current.find(one => one.from <= tick && tick < one.to);
      readout.append(html("br"));
      if (hold) {
        const spread = rateAt(hold.short, tick) - rateAt(hold.long, tick);
        readout.append(`${pair(hold.long, hold.short)}: `, html("b", {}, Number.isNaN(spread) ? "–" : figure(spread, 2)), ` bp per 8 h, ${figure(hold.funding)} bp in all`);
      } else readout.append(html("span", { class: "far" }, "no position"));
      const near = trades.filter(trade => Math.abs(trade[0] - tick) <= reach).sort((one, other) => Math.abs(one[0] - tick) - Math.abs(other[0] - tick))[0];
      if (near) readout.append(html("br"), `${stamp(near[0])} ${tradeText(near)}`);
    };
    const list = () => {
      const trades = symbol.trades.filter(trade => trade[0] >= view[0] && trade[0] <= view[1]);
      find(".trades summary").textContent = `Trades in view: ${trades.length.toLocaleString("en-US")}`;
      if (!find(".trades").open) return;
      rows.replaceChildren(...trades.slice(0, 200).map(trade => {
        const [tick, action, reason, long, short, toLong, toShort, other, divergence, entry, cost] = trade;
        const legs = `${data.venues[long]} / ${data.venues[short]}` + (toLong >= 0 ? ` → ${other ? `${other} ` : ""}${data.venues[toLong]} / ${data.venues[toShort]}` : "");
        const cells = [data.actions[action], legs, data.reasons[reason], divergence === null ? "–" : figure(divergence / 100, 2), figure(entry / 100, 2), figure(cost / 100, 2)];
        return html("tr", {}, html("th", { scope: "row" }, stamp(tick)), ...cells.map(cell => html("td", {}, cell)));
      }));
      find(".trades .note").textContent = trades.length > 200 ? "The first 200. Look closer to see others." : "Divergences in bp per 8 h, costs in bp.";
    };

    // What is chosen
    const group = (name, choices, chosen, act) => {
      const buttons = choices.map(([label, value]) => {
        const button = html("button", { type: "button" }, label);
        button.addEventListener("click", () => act(value));
        return [button, value];
      });
      find(name).append(...buttons.map(([button]) => button));
      return () => buttons.forEach(([button, value]) => { const now = chosen(value); if (now !== null) button.setAttribute("aria-pressed", String(now)); });
    };
    const markCourse = group(".courses", Object.keys(symbol.held).map(name => [name, name]), name => name === course, name => { course = name; refresh(); });
    const whole = clock.ticks * clock.every;
    const spans = [90, 30, 7].filter(days => days * 24 * HOUR < whole).map(days => [`${days} d`, Math.round(days * 24 * HOUR / clock.every)]);
    const markSpan = group(".spans", [["all", last], ...spans, ["‹", -1], ["›", 1]], size => (Math.abs(size) === 1 && last > 1 ? null : Math.abs(view[1] - view[0] - size) < 1), size => {
      const now = view[1] - view[0];
      if (Math.abs(size) === 1 && last > 1) {
        const start = Math.min(Math.max(view[0] + Math.sign(size) * Math.round(now * 0.8), 0), last - now);
        view = [start, start + now];
      } else {
        const stop = Math.min(last, Math.max(size, view[1]));
        view = [stop - size, stop];
      }
      refresh();
    });
    const chips = () => find(".venues").replaceChildren(...symbol.markets.map(market => chip(data.venues[market.venue], venueStyle(market.venue), !hidden.has(market.venue), now => {
      if (now) hidden.delete(market.venue); else hidden.add(market.venue);
      draw();
    })));
    const refresh = () => { markCourse(); markSpan(); draw(); hint(); list(); };
    data.symbols.forEach((one, at) => chooser.append(html("option", { value: at }, one.name)));
    chooser.addEventListener("change", () => { symbol = data.symbols[chooser.value]; chips(); refresh(); });
    find(".trades").addEventListener("toggle", list);
    if (data.left_out) {
      const note = find(".left-out");
      note.hidden = false;
      note.textContent = `Drawn are the ${data.symbols.length} symbols that lost the most, as there is room for; ${data.left_out} more are in the tables.`;
    }
    chips();
    markCourse(); markSpan(); list();
    return () => { draw(); hint(); };
  })();

  const redraw = () => { equity(); positions(); };
  let width = 0;
  new ResizeObserver(() => {
    if (document.body.clientWidth === width) return;
    width = document.body.clientWidth;
    requestAnimationFrame(redraw);
  }).observe(document.body);
})();
