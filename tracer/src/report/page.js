"use strict";
// The complete list, the search in it, and the ladders of its connections. Everything from a record goes
// into the page as text: no markup is ever made of it.
(async () => {
  const ROW = 26;
  const EACH = 512; // ladders in a block
  const byId = (id) => document.getElementById(id);

  const unpacked = async (id) => {
    const octets = Uint8Array.from(atob(byId(id).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([octets]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  };

  // ---- How numbers are written, as in the ladders that synfin prints.

  const decimals = (number, places) => (number / 10 ** places).toFixed(places);
  const lasting = (ns) => {
    if (ns === null || Number.isNaN(ns)) return "";
    if (ns === 0) return "0 s";
    for (const [unit, places, below, name] of [
      [100, 1, 100, "µs"], [1e4, 2, 1000, "ms"], [1e5, 1, 1000, "ms"], [1e6, 0, 1000, "ms"],
      [1e7, 2, 1000, "s"], [1e8, 1, 600, "s"],
    ]) {
      const number = Math.round(ns / unit);
      if (number < below) return `${decimals(number, places)} ${name}`;
    }
    const two = (number) => String(number).padStart(2, "0");
    const seconds = Math.round(ns / 1e9);
    const minutes = Math.round(ns / 6e10);
    const hours = Math.round(ns / 3.6e12);
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
    if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
    return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
  };
  const octets = (count) => {
    if (Number.isNaN(count)) return "?";
    if (count < 1000) return `${count} B`;
    let unit = 1000;
    for (const name of ["kB", "MB", "GB", "TB", "PB"]) {
      const tenths = Math.round((count / unit) * 10);
      if (tenths < 1000) return `${decimals(tenths, 1)} ${name}`;
      if (Math.round(count / unit) < 1000) return `${Math.round(count / unit)} ${name}`;
      unit *= 1000;
    }
    return `${decimals(Math.round((count / unit) * 10), 1)} EB`;
  };
  const millis = (us) => decimals(us, 3);
  const instant = (us) => {
    const date = new Date(us / 1000);
    return Number.isNaN(date.getTime()) ? "" : date.toISOString();
  };
  const grouped = (count) => String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f");

  // ---- A ladder. `svg.rs` draws the same, and a test holds the two against each other.

  const element = (name, attributes, ...inside) => {
    const svg = ["svg", "path", "text", "tspan"].includes(name);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...inside);
    return made;
  };
  const [TIME, DELTA, CLIENT, LEFT, RIGHT, SERVER, PROOF] = [72, 146, 262, 274, 634, 646, 752];
  const [STEP, TOP, WIDTH, FLAGS] = [28, 26, 900, 8];
  const characters = (text) => [...text].length;
  const wide = (count) => Math.floor((count * 29) / 4);
  const clauses = (all, name) => all.flatMap((clause, index) => {
    const made = typeof clause === "string" ? clause : element(name, { class: clause[0] }, clause[1]);
    return index > 0 ? [" · ", made] : [made];
  });
  const joined = (all) => Math.max(0, all.reduce((sum, clause) =>
    sum + 3 + characters(typeof clause === "string" ? clause : clause[1]), -3));

  const drawn = (route, rungs) => {
    const widths = rungs.map((rung) => typeof rung === "string" ? 0 : PROOF + wide(joined(rung[7])) + 8);
    const width = Math.max(WIDTH, ...widths);
    const height = TOP + rungs.length * STEP + 8;
    const svg = element("svg", {
      class: "ladder", width, height, viewBox: `0 0 ${width} ${height}`, role: "group",
      "aria-label": `Ladder of ${route}`,
    });
    const text = (name, x, y, words) => {
      if (words) svg.append(element("text", name ? { class: name, x, y } : { x, y }, words));
    };
    const lines = (name, top) => [LEFT, RIGHT].forEach((x) =>
      svg.append(element("path", { class: name, d: `M${x} ${top}V${top + STEP}` })));
    text("dim end", TIME, 16, "ms");
    text("dim end", DELTA, 16, "Δ");
    text("dim end", CLIENT, 16, "client");
    text("dim", SERVER, 16, "server");
    let at = 0;
    rungs.forEach((rung, place) => {
      const top = TOP + place * STEP;
      if (typeof rung === "string") {
        lines("life gap", top);
        text("dim mid", Math.floor((LEFT + RIGHT) / 2), top + 18, rung);
        return;
      }
      const [passed, delta, from, flags, label, client, server, proof] = rung;
      const [y, line] = [top + 18, top + 22];
      const bad = from & 2 ? " bad" : "";
      at += passed;
      text("dim end", TIME, y, millis(at));
      text("dim end", DELTA, y, delta === null ? "" : `+${millis(delta === 0 ? passed : delta - 1)}`);
      text("end", CLIENT, y, client);
      lines("life", top);
      const [tail, head, back] = from & 1 ? [RIGHT, LEFT, LEFT + 8] : [LEFT, RIGHT, RIGHT - 8];
      svg.append(element("path", {
        class: `arrow${bad}`,
        d: `M${tail} ${line}H${head}M${back} ${line - 4}L${head} ${line}L${back} ${line + 4}`,
      }));
      text(`flags${bad}`, LEFT + 14, y, flags);
      text("", LEFT + 14 + wide(Math.max(characters(flags) + 1, FLAGS)), y, label);
      text("", SERVER, y, server);
      if (proof.length > 0) svg.append(element("text", { x: PROOF, y }, ...clauses(proof, "tspan")));
    });
    return svg;
  };

  const blocks = new Map();
  const ladder = async (row) => {
    const block = Math.floor(row / EACH);
    if (!blocks.has(block)) {
      // A few are enough for going to and fro.
      if (blocks.size >= 8) blocks.delete(blocks.keys().next().value);
      blocks.set(block, unpacked(`ladders-${block}`));
    }
    return (await blocks.get(block))[row % EACH];
  };

  // ---- The columns.

  const data = await unpacked("columns");
  const count = data.start.length;
  const floats = (column) => Float64Array.from(column, (value) => value ?? NaN);
  const start = new Float64Array(count);
  let at = 0;
  data.start.forEach((passed, row) => {
    if (passed !== null) at += passed;
    start[row] = passed === null ? NaN : at;
  });
  const client = Uint32Array.from(data.client);
  const clientPort = Uint16Array.from(data.client_port);
  const server = Uint32Array.from(data.server);
  const serverPort = Uint16Array.from(data.server_port);
  const on = Uint32Array.from(data.interface);
  const outcome = Uint8Array.from(data.outcome);
  const close = Uint8Array.from(data.close);
  const fate = Uint8Array.from(data.fate);
  const handshake = floats(data.handshake);
  const duration = floats(data.duration);
  const up = floats(data.up);
  const down = floats(data.down);
  const reason = Uint32Array.from(data.reason);
  const services = new Map(data.services);
  const total = Float64Array.from(up, (sent, row) => (sent || 0) + (down[row] || 0));

  // ---- Search: each word is looked for in the tables once, and rows are looked up there.

  const hits = (texts, word) => Uint8Array.from(texts, (text) => text.toLowerCase().includes(word) ? 1 : 0);
  const serviceHits = (word) => {
    const ports = new Uint8Array(65536);
    for (const [port, name] of services) if (name.includes(word)) ports[port] = 1;
    return ports;
  };
  const matcher = (word) => {
    const addresses = hits(data.addresses, word);
    const interfaces = hits(data.interfaces, word);
    const outcomes = hits(data.outcomes, word);
    const closes = hits(data.closes, word);
    const reasons = hits(data.reasons, word);
    const named = serviceHits(word);
    const [, host, digits] = /^(.*?):?(\d{1,5})$/.exec(word) ?? [];
    const port = digits === undefined ? -1 : Number(digits);
    const hosts = host ? hits(data.addresses, host.replace(/^\[|\]$/g, "")) : null;
    const ended = word.includes(":") && hosts;
    const bare = port >= 0 && !host;
    return (row) =>
      addresses[client[row]] || addresses[server[row]] || named[serverPort[row]] ||
      outcomes[outcome[row]] || closes[close[row]] || reasons[reason[row]] || interfaces[on[row]] ||
      (bare && (clientPort[row] === port || serverPort[row] === port)) ||
      (ended && ((hosts[client[row]] && clientPort[row] === port) || (hosts[server[row]] && serverPort[row] === port)));
  };

  const orders = new Map([["start", Uint32Array.from({ length: count }, (_, row) => row)]]);
  const ordered = (name) => {
    if (!orders.has(name)) {
      const column = { handshake, duration, octets: total }[name];
      const value = (row) => Number.isNaN(column[row]) ? -1 : column[row];
      orders.set(name, orders.get("start").slice().sort((a, b) => value(b) - value(a) || a - b));
    }
    return orders.get(name);
  };

  const filters = new Map([["everything", () => true], ["failed", (row) => fate[row] === 2], ["reset", (row) => fate[row] === 1]]);
  data.outcomes.forEach((name, place) => {
    if (outcome.includes(place)) filters.set(name, (row) => outcome[row] === place);
  });
  byId("filter").append(...[...filters.keys()].map((name) => element("option", {}, name)));

  let shown = orders.get("start");
  let selected = 0; // a place in `shown`
  const narrow = () => {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean).map(matcher);
    const kind = filters.get(byId("filter").value);
    const everything = words.length === 0 && byId("filter").value === "everything";
    const order = ordered(byId("order").value);
    shown = everything ? order : order.filter((row) => kind(row) && words.every((fits) => fits(row)));
    selected = 0;
    byId("count").textContent = `${grouped(shown.length)} of ${grouped(count)}`;
    byId("room").style.height = `${shown.length * ROW}px`;
    list.scrollTop = 0;
    render();
  };

  // ---- The list: only rows that can be seen are elements.

  const list = byId("list");
  const pool = [];
  const socket = (address, port) => address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  const cells = (row) => {
    const service = services.get(serverPort[row]);
    const when = instant(start[row]);
    return [
      when.slice(11, 19) + (when && `.${String(Math.floor(start[row] % 1e6)).padStart(6, "0").slice(0, 3)}`),
      socket(data.addresses[client[row]], clientPort[row]),
      socket(data.addresses[server[row]], serverPort[row]) + (service ? ` ${service}` : ""),
      data.outcomes[outcome[row]], data.closes[close[row]],
      lasting(handshake[row]), lasting(duration[row]), octets(up[row]), octets(down[row]), data.reasons[reason[row]],
    ];
  };
  const fill = (made, place) => {
    const row = shown[place];
    cells(row).forEach((text, cell) => { made.children[cell].textContent = text; });
    made.title = `${instant(start[row])} ${data.interfaces[on[row]]} ${data.reasons[reason[row]]}`;
    made.className = `row ${["", "reset", "failed"][fate[row]]}`;
    made.id = `row-${place}`;
    made.place = place;
    made.setAttribute("aria-selected", place === selected);
    made.setAttribute("aria-posinset", place + 1);
    made.setAttribute("aria-setsize", shown.length);
    made.style.transform = `translateY(${place * ROW}px)`;
    made.hidden = false;
  };
  const render = () => {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
    while (pool.length < last - first) {
      const made = element("div", { role: "option" }, ...Array.from({ length: 10 }, () => element("span", {})));
      pool.push(made);
      byId("room").append(made);
    }
    pool.forEach((made, place) => {
      if (first + place < last) fill(made, first + place);
      else { made.hidden = true; made.removeAttribute("id"); }
    });
    if (shown.length > 0) list.setAttribute("aria-activedescendant", `row-${selected}`);
    else list.removeAttribute("aria-activedescendant");
  };
  let waiting = false;
  const soon = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; render(); });
  };

  const select = (place) => {
    selected = Math.min(Math.max(place, 0), Math.max(shown.length - 1, 0));
    const top = selected * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    render();
  };
  const open = async () => {
    const row = shown[selected];
    if (row === undefined) return;
    const [route, verdict, reasons, circumstances, rungs, notes] = await ladder(row);
    const words = (all) => all.length > 0 ? [element("p", { class: "words" }, ...clauses(all, "span"))] : [];
    byId("route").textContent = route;
    byId("story").replaceChildren(
      ...words(verdict), ...reasons.flatMap((why) => words([why])), ...words(circumstances),
      ...(rungs.length > 0 ? [element("div", { class: "drawn", tabindex: "0" }, drawn(route, rungs))] : []),
      ...notes.flatMap((note) => words([note])),
    );
    byId("ladder").showModal();
  };

  list.addEventListener("scroll", soon, { passive: true });
  new ResizeObserver(soon).observe(list);
  list.addEventListener("click", (event) => {
    const made = event.target.closest(".row");
    if (made) { select(made.place); open(); }
  });
  list.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
    const moves = {
      ArrowDown: selected + 1, ArrowUp: selected - 1, PageDown: selected + page, PageUp: selected - page,
      Home: 0, End: shown.length - 1,
    };
    if (event.key in moves) select(moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") open();
    else return;
    event.preventDefault();
  });
  let typing;
  byId("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(narrow, 60); });
  byId("filter").addEventListener("change", narrow);
  byId("order").addEventListener("change", narrow);
  byId("wishes").addEventListener("submit", (event) => { event.preventDefault(); narrow(); });

  byId("browser").hidden = false;
  narrow();
  document.documentElement.dataset.ready = Math.round(performance.now());
})().catch((error) => {
  const trouble = document.getElementById("trouble");
  trouble.textContent = `The list cannot be shown: ${error.message}. It needs a browser of 2024 or later.`;
  trouble.hidden = false;
  throw error;
});
