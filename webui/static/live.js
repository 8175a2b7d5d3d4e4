// Keeps the page as it is on the server: listens for changes, fetches the page again, and turns the old <main> into the
// new one in place, so that scroll position, focus, opened details and half-typed filters stay. Without it the page is a
// plain page. Nothing here knows what a pull request is.
"use strict";

(() => {
  const POLL_MS = 5000;
  const LISTEN_AGAIN = 6; // polls until a stream is asked for again
  const TYPING_MS = 250;
  const SIGNS = {
    live: "Live",
    connecting: "Connecting",
    polling: "Every 5 s",
    offline: "Cannot reach mergeq",
  };

  const main = document.querySelector("main");
  const sign = document.getElementById("live");
  const events = main.dataset.events;
  if (!events) return;

  const touched = new WeakSet(); // the <details> that the reader opened or closed
  let clock = null;
  let stream = null;
  let timer = 0;
  let polls = 0;
  let busy = false;
  let again = false;

  // Times: the server's clock decides how long ago something was.

  const setClock = () => {
    clock = { server: Date.parse(main.dataset.now), at: performance.now() };
  };

  const ago = (then) => {
    const seconds = Math.max(0, Math.round((clock.server + performance.now() - clock.at - then) / 1000));
    if (seconds < 5) return "just now";
    if (seconds < 60) return `${seconds} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} days ago`;
  };

  const relate = (root) => {
    for (const time of root.querySelectorAll("time[data-ago]")) {
      const text = ago(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // Turning one element into another.

  const become = (old, fresh) => {
    const keeps = (name) => name === "open" && touched.has(old);
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !keeps(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !keeps(name)) old.setAttribute(name, value);
    }
    becomeChildren(old, fresh);
    if (old.nodeName === "SELECT") old.value = fresh.value;
  };

  const becomeChildren = (old, fresh) => {
    const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    let at = old.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      const fits = at && at.nodeName === wanted.nodeName && !at.id && !wanted.id ? at : null;
      const found = wanted.id ? named.get(wanted.id) : fits;
      if (!found || found.nodeName !== wanted.nodeName) {
        old.insertBefore(document.importNode(wanted, true), at);
        continue;
      }
      if (found !== at) old.insertBefore(found, at);
      else at = at.nextSibling;
      if (found.nodeType !== Node.ELEMENT_NODE) {
        if (found.nodeValue !== wanted.nodeValue) found.nodeValue = wanted.nodeValue;
      } else if (found.nodeName !== "NOSCRIPT") {
        become(found, wanted);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  const show = (page) => {
    const fresh = page.querySelector("main");
    if (!fresh) return;
    const focused = document.activeElement;
    main.dataset.now = fresh.dataset.now || main.dataset.now;
    setClock();
    relate(fresh);
    become(main, fresh);
    if (!main.dataset.events) main.dataset.events = events;
    document.title = page.title;
    if (focused && focused !== document.activeElement && focused.id) document.getElementById(focused.id)?.focus();
  };

  const refresh = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    const asked = location.href;
    try {
      const answer = await fetch(asked, { cache: "no-store" });
      if (answer.status >= 500) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (asked === location.href) show(page);
      if (sign.dataset.state === "offline") say(stream ? "live" : "polling");
    } catch {
      say("offline");
    }
    busy = false;
    if (again) {
      again = false;
      await refresh();
    }
  };

  // Hearing of changes: a stream while the page is looked at, else asking now and then.

  const say = (state) => {
    sign.dataset.state = state;
    if (sign.textContent !== SIGNS[state]) sign.textContent = SIGNS[state];
  };

  const listen = () => {
    if (stream || document.hidden) return;
    stream = new EventSource(`${events}?since=${encodeURIComponent(main.dataset.version || "")}`);
    stream.addEventListener("open", () => {
      stopPolling();
      say("live");
    });
    stream.addEventListener("change", refresh);
    stream.addEventListener("error", () => {
      if (stream?.readyState !== EventSource.CLOSED) {
        say("connecting");
        return;
      }
      stream = null;
      startPolling();
    });
  };

  const startPolling = () => {
    if (timer || document.hidden) return;
    say("polling");
    polls = 0;
    timer = setInterval(() => {
      polls += 1;
      if (polls % LISTEN_AGAIN === 0) listen();
      refresh();
    }, POLL_MS);
  };

  const stopPolling = () => {
    clearInterval(timer);
    timer = 0;
  };

  const rest = () => {
    stream?.close();
    stream = null;
    stopPolling();
  };

  const wake = () => {
    if (document.hidden) {
      rest();
    } else {
      refresh();
      listen();
    }
  };

  // Filters: what is chosen is in the address, and takes effect at once.

  const apply = (form) => {
    const address = new URL(form.getAttribute("action"), location.href); // a field may be called action
    address.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value)).toString();
    if (address.href !== location.href) history.pushState(null, "", address);
    refresh();
  };

  const filters = (event) => event.target.closest?.("form[data-filters]");
  let typing = 0;

  document.addEventListener("change", (event) => {
    const form = filters(event);
    if (form) apply(form);
  });
  document.addEventListener("input", (event) => {
    const form = filters(event);
    if (!form || event.target.nodeName !== "INPUT") return;
    clearTimeout(typing);
    typing = setTimeout(apply, TYPING_MS, form);
  });
  document.addEventListener("submit", (event) => {
    const form = filters(event);
    if (!form) return;
    event.preventDefault();
    apply(form);
  });
  window.addEventListener("popstate", async () => {
    await refresh();
    for (const form of document.querySelectorAll("form[data-filters]")) form.reset();
  });

  document.addEventListener("click", (event) => {
    const summary = event.target.closest?.("summary");
    if (summary) touched.add(summary.parentElement);
  });
  document.addEventListener("visibilitychange", wake);
  window.addEventListener("pagehide", rest);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) wake();
  });

  setClock();
  relate(main);
  setInterval(() => relate(main), 5000);
  say("connecting");
  listen();
})();
