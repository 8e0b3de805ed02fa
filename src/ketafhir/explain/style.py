"""The style and the script of the page, both within it: it needs nothing else and asks for nothing."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--soft:#5d6b7c;--line:#dfe4ea;--mapped:#0b7a4b;
  --mapped-bg:#e3f4ec;--preserved:#8a5a00;--preserved-bg:#fbf0d9;--dropped:#6b7280;--dropped-bg:#eceef1;
  --bad:#b42318;--bad-bg:#fde8e6;--on:#1d4ed8;--on-bg:#dbe7ff}
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2029;--ink:#e6eaf0;--soft:#97a3b3;--line:#2b3442;
  --mapped:#5fd3a0;--mapped-bg:#153427;--preserved:#e8b95a;--preserved-bg:#3a2d12;--dropped:#9aa5b4;
  --dropped-bg:#262d38;--bad:#ff8a7d;--bad-bg:#431d1a;--on:#8fb4ff;--on-bg:#1e3258}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
header{padding:1.2rem 1.5rem .6rem}
h1{font-size:1.25rem;margin:0 0 .4rem}
h2{font-size:.95rem;margin:0;padding:.55rem .9rem;border-bottom:1px solid var(--line)}
p{margin:.2rem 0}
.key span,.badge{display:inline-block;border-radius:1rem;padding:.05rem .65rem;margin:.15rem .4rem .15rem 0;
  font-size:.85rem}
.mapped{color:var(--mapped);background:var(--mapped-bg)}
.preserved{color:var(--preserved);background:var(--preserved-bg)}
.dropped{color:var(--dropped);background:var(--dropped-bg)}
.bad{color:var(--bad);background:var(--bad-bg)}
main{display:grid;grid-template-columns:minmax(0,5fr) minmax(0,6fr);gap:1rem;padding:.5rem 1.5rem 2rem;
  align-items:start}
main.sums{display:block}
.pane{background:var(--card);border:1px solid var(--line);border-radius:.6rem;overflow:hidden;margin-bottom:1rem}
.v2{position:sticky;top:.75rem;max-height:calc(100vh - 1.5rem);overflow:auto}
.segment{padding:.4rem .9rem;border-bottom:1px solid var(--line);font:13px/1.9 ui-monospace,monospace;
  overflow-wrap:anywhere}
.segment b{margin-right:.3rem}
.bar{color:var(--soft);opacity:.6}
.field{border-radius:.25rem;padding:.08rem .22rem;cursor:pointer;border:1px solid transparent;overflow-wrap:anywhere}
.row{padding:.45rem .9rem;border-bottom:1px solid var(--line);cursor:pointer;border-left:3px solid transparent}
.row:last-child,.segment:last-child{border-bottom:0}
.row code{font:13px ui-monospace,monospace}
.value{font-weight:600;overflow-wrap:anywhere}
.soft{color:var(--soft);font-size:.83rem;overflow-wrap:anywhere}
.on{background:var(--on-bg)!important;border-color:var(--on)!important}
.field:focus,.row:focus{outline:2px solid var(--on);outline-offset:1px}
ul{margin:0;padding:.5rem .9rem .6rem 2rem}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.35rem .9rem;border-bottom:1px solid var(--line);vertical-align:top;
  overflow-wrap:anywhere}
td.n,th.n{text-align:right;width:6rem;font-variant-numeric:tabular-nums}
th{color:var(--soft);font-weight:500;font-size:.85rem}
tr:last-child td{border-bottom:0}
@media(max-width:820px){main{grid-template-columns:1fr}.v2{position:static;max-height:none}}
@media print{.v2{position:static;max-height:none}main{display:block}}
"""

SCRIPT = """
(() => {
  const all = [...document.querySelectorAll('[data-f]')];
  const fields = all.filter(e => e.classList.contains('field'));
  let held = null;
  const show = (from, scroll) => {
    const ids = from ? from.dataset.f.split(' ') : [];
    let seen = false;
    for (const e of all) {
      const on = e.dataset.f.split(' ').some(id => ids.includes(id));
      e.classList.toggle('on', on);
      if (on && scroll && !seen && from && e.classList.contains('field') !== from.classList.contains('field')) {
        e.scrollIntoView({block: 'nearest'});
        seen = true;
      }
    }
  };
  const at = event => event.target.closest && event.target.closest('[data-f]');
  document.addEventListener('mouseover', event => { if (!held) show(at(event), true); });
  document.addEventListener('focusin', event => { if (at(event)) show(at(event), true); });
  document.addEventListener('click', event => { held = at(event) === held ? null : at(event); show(held, true); });
  document.addEventListener('keydown', event => {
    if (event.key === 'Escape') { held = null; show(null, false); return; }
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    const place = fields.indexOf(document.activeElement);
    if (!step || place < 0) return;
    event.preventDefault();
    fields[(place + step + fields.length) % fields.length].focus();
  });
  const asked = decodeURIComponent(location.hash.slice(1));
  const first = fields.find(e => e.dataset.where === asked);
  if (first) { held = first; first.focus(); show(first, true); }
})();
"""
