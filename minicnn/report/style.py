"""The style sheet of the page. No font, picture or script from elsewhere; light or dark as the reader's system is."""

CSS = """
:root { color-scheme: light dark; --page: #fbfbfa; --card: #fff; --ink: #1b1f24; --soft: #5b6470; --rule: #dfe2e6;
  --one: #0072b2; --two: #d55e00; --three: #00805f; --good: #00805f; --bad: #b3261e; --hit: 0, 114, 178; --miss: 213, 94, 0; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --card: #1c2026; --ink: #e7eaee; --soft: #9aa4b1; --rule: #343a43;
  --one: #56b4e9; --two: #e69f00; --three: #2bc29b; --good: #2bc29b; --bad: #ff8a80; --hit: 60, 140, 200; --miss: 226, 120, 20; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header, main, footer { max-width: 1080px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 36px; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 6px; }
h3 { font-size: 1rem; margin: 22px 0 4px; }
section { margin: 20px 0; padding: 20px 22px; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
p { margin: 0 0 10px; max-width: 74ch; overflow-wrap: anywhere; }
.soft, figcaption, caption, footer, td.soft { color: var(--soft); }
.verdict { font-size: 1.05rem; max-width: none; }
section .soft { font-size: .875rem; }
.status { display: inline-block; padding: 1px 10px; border-radius: 99px; border: 1px solid currentColor; font-size: .8rem;
  margin-left: 6px;
  vertical-align: middle; font-weight: 600; color: var(--two); }
.status.finished { color: var(--good); }
.status.failed, .status.broken { color: var(--bad); }
.warning { border-left: 4px solid var(--two); padding: 6px 12px; margin: 12px 0; background: var(--card); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 18px 0 0; }
.figures div { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 10px 14px; }
.figures dt { color: var(--soft); font-size: .82rem; }
.figures dd { margin: 0; font-size: 1.35rem; white-space: nowrap; font-weight: 650; font-variant-numeric: tabular-nums; line-height: 1.3; }
.figures dd small { display: block; white-space: normal; font-size: .78rem; font-weight: 400; color: var(--soft); overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 18px; margin-top: 14px; }
figure { margin: 0; }
figcaption { font-size: .85rem; }
.chart figcaption b { color: var(--ink); margin-right: 12px; }
.chart figcaption span { margin-right: 12px; white-space: nowrap; }
.key { display: inline-block; width: 16px; height: 3px; border-radius: 2px; vertical-align: middle; margin-right: 5px;
  background: currentColor; }
.key.one, .one { color: var(--one); } .key.two, .two { color: var(--two); } .key.three, .three { color: var(--three); }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 11px; font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .mark { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 3 3; }
svg .line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg circle { fill: currentColor; }
.wide { overflow-x: auto; margin: 10px -4px 6px; padding: 0 4px; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: 4px; font-size: .85rem; }
th, td { padding: 3px 10px; text-align: right; border-bottom: 1px solid var(--rule); font-weight: 400; }
thead th { color: var(--soft); font-size: .8rem; vertical-align: bottom; border-bottom-color: var(--soft); }
.words { text-align: left; }
.over { font-weight: 650; padding-top: 10px; }
tbody th { overflow-wrap: break-word; max-width: 22em; unicode-bidi: isolate; }
td { white-space: nowrap; } .facts td { white-space: normal; }
.matrix th, .matrix td { padding: 0; border: 0; }
.matrix td { min-width: 38px; height: 30px; text-align: center; border: 1px solid var(--card); border-radius: 4px; }
.matrix td.full { color: #fff; font-weight: 650; }
.matrix td.none { color: var(--rule); }
.matrix tbody th { padding-right: 10px; text-align: right; white-space: nowrap; max-width: 13em; overflow: hidden;
  text-overflow: ellipsis; }
.matrix thead th { padding: 0 0 6px; text-align: left; }
.matrix thead th span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 10em; overflow: hidden; white-space: nowrap; }
.matrix .corner { writing-mode: horizontal-tb; transform: none; padding-right: 10px; text-align: right; vertical-align: bottom; }
.bar { display: inline-block; width: 56px; height: 8px; border-radius: 4px; background: var(--rule); vertical-align: middle;
  margin-left: 8px;
  overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--one); }
.tiles { display: grid; gap: 14px 12px; margin-top: 14px; }
.mistakes { grid-template-columns: repeat(auto-fill, minmax(108px, 1fr)); }
.filters { grid-template-columns: repeat(auto-fill, minmax(64px, 1fr)); gap: 10px; }
.tiles figcaption { font-size: .78rem; line-height: 1.35; margin-top: 4px; overflow-wrap: anywhere; }
.tiles figcaption b { color: var(--ink); font-weight: 600; unicode-bidi: isolate; }
.tiles img, .heat { width: 100%; height: auto; image-rendering: pixelated; border: 1px solid var(--rule); border-radius: 4px;
  display: block; }
.heat { max-width: 640px; }
pre { background: var(--page); border: 1px solid var(--rule); border-radius: 8px; padding: 12px 14px; overflow-x: auto; margin: 10px 0;
  font: .84rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font: .9em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.facts th { color: var(--soft); vertical-align: top; min-width: 6em; }
.facts td { overflow-wrap: anywhere; }
.columns > div { min-width: 0; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 8px 32px; align-items: start; }
nav { margin-top: 16px; font-size: .875rem; }
nav a { display: inline-block; margin-right: 14px; }
a { color: var(--one); }
footer { padding-bottom: 40px; font-size: .85rem; }
@media (max-width: 560px) { section { padding: 16px 14px; border-radius: 8px; } header, main, footer { padding-left: 12px;
  padding-right: 12px; }
  h1 { font-size: 1.35rem; } .figures { grid-template-columns: 1fr 1fr; } .figures dd { font-size: 1.2rem; }
  .mistakes { grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)); } th, td { padding: 3px 7px; }
  .matrix td { min-width: 26px; height: 26px; font-size: .72rem; } .matrix th { font-size: .78rem; } .matrix tbody th { max-width: 7em; }
  .bar { display: none; } }
@media print { section { break-inside: avoid; } nav { display: none; } }
"""
