//! The run as a picture: bars of requests per second and of processor time, 32 connections.

use crate::report::{Entry, Report};
use crate::summary::Level;
use crate::targets::LOADED;

const WIDTH: u32 = 920;
const NAMES: u32 = 130;
const BAR: u32 = 250;
const VALUES: u32 = 70;
const ROW: u32 = 24;
const TOP: u32 = 76;
const GROUP: u32 = 44;

const STYLE: &str = "
  .page { fill: #ffffff } text { fill: #1f2430; font: 13px system-ui, sans-serif }
  .quiet { fill: #5b6472; font-size: 12px } .head { font-size: 16px; font-weight: 600 }
  .group { font-weight: 600 } .scale { fill: #a3acba } .ours { fill: #2f6fde }
  @media (prefers-color-scheme: dark) {
    .page { fill: #14171d } text { fill: #e6e9ef } .quiet { fill: #9aa3b2 }
    .scale { fill: #667085 } .ours { fill: #6ea0ff }
  }
";

/// A measure: its title, its value, and its decimals.
type Measure = (&'static str, fn(&Level) -> f64, usize);

const MEASURES: [Measure; 2] = [
    ("requests per second (more is better)", |level| level.requests_per_second, 0),
    ("CPU µs per request (less is better)", |level| level.cpu_us, 1),
];

/// Draws the run as SVG; whole answers and streams have a scale each.
pub fn draw(report: &Report) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for (streamed, title) in [(false, "Whole answers"), (true, "Streams")] {
        let measured = |entry: &&Entry| entry.streamed == streamed && entry.at(LOADED).is_some();
        let rungs: Vec<&Entry> = report.rungs.iter().filter(measured).collect();
        if !rungs.is_empty() {
            y = draw_group(&mut body, title, &rungs, y);
        }
    }
    let height = y + 16;
    let machine = &report.machine;
    let facts =
        escape(&format!("{} × {}, {}, commit {}", machine.cores, machine.cpu, machine.date, machine.commit));
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="Bench ladder at 32 connections">
<style>{STYLE}</style>
<rect class="page" width="{WIDTH}" height="{height}" rx="8"/>
<text class="head" x="16" y="28">Bench ladder, 32 connections</text>
<text class="quiet" x="16" y="48">{facts}</text>
<text class="quiet" x="16" y="66">grey: to compare with; blue: a fresh sandbox per request</text>
{body}</svg>
"#
    )
}

/// Draws one group of rungs below `top` and says where it ends.
fn draw_group(body: &mut String, title: &str, rungs: &[&Entry], top: u32) -> u32 {
    let first = top + GROUP;
    text(body, "group", 16, top + 28, title);
    for (index, entry) in (0..).zip(rungs) {
        text(body, "name", 16, first + index * ROW + 16, entry.name);
    }
    for (index, measure) in (0..).zip(&MEASURES) {
        draw_bars(body, measure, rungs, 16 + NAMES + index * (BAR + VALUES + 60), first);
    }
    first + u32::try_from(rungs.len()).unwrap_or_default() * ROW
}

fn draw_bars(body: &mut String, measure: &Measure, rungs: &[&Entry], x: u32, first: u32) {
    let (title, value, decimals) = *measure;
    let values: Vec<f64> = rungs.iter().filter_map(|entry| entry.at(LOADED)).map(value).collect();
    let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    text(body, "quiet", x, first - 16, title);
    for ((index, entry), value) in (0..).zip(rungs).zip(values) {
        let y = first + index * ROW;
        let class = if entry.sandboxed { "ours" } else { "scale" };
        let length = (value / most * f64::from(BAR)).max(1.0);
        let (upper, height) = (y + 3, ROW - 6);
        let end = f64::from(x) + length + 6.0;
        let base = y + 16;
        *body += &format!(
            r#"<rect class="{class}" x="{x}" y="{upper}" width="{length:.1}" height="{height}" rx="2"/>
<text x="{end:.1}" y="{base}">{value:.decimals$}</text>
"#
        );
    }
}

fn text(body: &mut String, class: &str, x: u32, y: u32, text: &str) {
    let text = escape(text);
    *body += &format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>\n");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
