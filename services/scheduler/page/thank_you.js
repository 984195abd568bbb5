/*! Orderwake thank-you offer v1 */
(() => {
  "use strict";
  const tag = document.currentScript;
  if (!tag) return;
  const given = tag.dataset;
  const base = new URL(tag.src).origin;
  const css = `
:host{all:initial;display:block;--a:#1f5fbf;--on:#fff;--bg:#fff;--fg:#1b1f24;--soft:#57606a;--line:#d0d7de;--ok:#1a6b34}
@media(prefers-color-scheme:dark){:host{--a:#8ab8ff;--on:#0b1a2e;--bg:#1b1f24;--fg:#f0f3f6;--soft:#adb5bd;--line:#444c56;--ok:#7ee2a0}}
*{box-sizing:border-box;margin:0;overflow-wrap:anywhere}
section{font:16px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);border:1px solid var(--line);border-radius:12px;padding:20px;max-width:720px;margin:16px auto}
h2{font-size:1.3em;line-height:1.25}
.soft{color:var(--soft)}
ul{list-style:none;padding:0;margin:16px 0;display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(100%,250px),1fr))}
li{display:flex;gap:12px}
img{width:72px;height:72px;object-fit:cover;border-radius:8px;flex:none;background:var(--line)}
a{color:inherit}
a,b,code{font-weight:600}
code{border:1px dashed var(--soft);border-radius:4px;padding:1px 6px}
button{font:inherit;font-weight:600;color:var(--on);background:var(--a);border:0;border-radius:8px;padding:12px 22px;margin-top:12px;cursor:pointer}
button:disabled{opacity:.6}
:focus-visible{outline:3px solid var(--a);outline-offset:2px}
[role=status]{margin-top:8px}
p:empty{margin:0}
.ok{color:var(--ok);font-weight:600}
@media(max-width:480px){button{width:100%}}`;

  const make = (name, text, kind) => {
    const node = document.createElement(name);
    if (text) node.textContent = text;
    if (kind) node.className = kind;
    return node;
  };
  const safe = (url) => (/^https?:\/\//i.test(url || "") ? url : "");
  const post = async (path, body) => {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), 4000);
    try {
      const options = { method: "POST", body, credentials: "omit", signal: stop.signal };
      const answer = await fetch(base + path, { ...options, headers: { "Content-Type": "text/plain" } });
      return answer.ok ? await answer.json() : null;
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
    }
  };

  const product = (one) => {
    const item = make("li");
    const image = safe(one.image_url);
    if (image) {
      const picture = make("img");
      picture.alt = "";
      picture.onerror = () => picture.remove();
      picture.src = image;
      item.append(picture);
    }
    const about = make("div");
    const link = safe(one.url);
    const name = make(link ? "a" : "b", one.name);
    if (link) name.href = link;
    about.append(name);
    if (one.price) about.append(make("p", money(one.price, one.currency)));
    if (one.why) about.append(make("p", one.why, "soft"));
    item.append(about);
    return item;
  };
  const money = (amount, currency) => {
    try {
      const style = { style: "currency", currency };
      return new Intl.NumberFormat(document.documentElement.lang || undefined, style).format(amount);
    } catch {
      return [amount, currency].join(" ");
    }
  };
  const terms = (incentive, more) => {
    const line = make("p");
    line.append(make("b", (more ? `Add ${more} more for ` : "") + incentive.text));
    if (incentive.code) line.append(" with code ", make("code", incentive.code));
    if (incentive.expires_text) line.append(make("span", ` until ${incentive.expires_text}`, "soft"));
    return line;
  };

  const show = (offer) => {
    const host = make("div");
    host.className = "orderwake-offer";
    const root = host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    root.adoptedStyleSheets = [sheet];
    const card = make("section");
    const heading = make("h2", offer.title);
    heading.id = "t";
    card.setAttribute("aria-labelledby", "t");
    card.append(heading);
    if (offer.text) card.append(make("p", offer.text, "soft"));
    const list = make("ul");
    list.setAttribute("role", "list");
    list.append(...offer.products.map(product));
    card.append(list);
    if (offer.incentive) card.append(terms(offer.incentive, offer.add_more));
    const said = make("p");
    said.setAttribute("role", "status");
    const button = make("button", offer.button);
    button.type = "button";
    const done = () => {
      button.remove();
      said.className = "ok";
      said.textContent = given.accepted || "Accepted. Thank you!";
      said.tabIndex = -1;
    };
    button.onclick = async () => {
      button.disabled = true;
      said.textContent = "";
      const answer = await post(`/v1/offers/${offer.id}/accept`, JSON.stringify({ token: offer.token }));
      if (answer && answer.accepted) {
        done();
        said.focus();
        return;
      }
      button.disabled = false;
      said.textContent = given.sorry || "Please try again.";
    };
    card.append(button, said);
    if (offer.accepted_at) done();
    root.append(card);
    const place = given.target && document.querySelector(given.target);
    if (place) place.append(host);
    else tag.after(host);
  };

  (async () => {
    try {
      const query = new URLSearchParams({ key: given.key || "" });
      if (given.proof) query.set("proof", given.proof);
      const answer = await post(`/v1/offers/thank-you?${query}`, given.order || "");
      if (answer && answer.offer) show(answer.offer);
    } catch {
      // A checkout is no place for our faults.
    }
  })();
})();
