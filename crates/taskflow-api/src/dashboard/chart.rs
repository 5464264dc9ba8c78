//! Charts as SVG: bars on top of each other for what happened, lines on a logarithmic scale for how long it took.
//! Words stand beside the drawing, not in it, so that they keep their size. Each chart has its numbers as a table too.

use maud::{Markup, html};

use super::parts;

/// The height of a drawing in its own units; its width is one unit a bucket.
const HEIGHT: f64 = 100.0;

/// One row of values, a value a bucket.
pub(super) struct Row {
    /// How it is called.
    pub(super) name: &'static str,
    /// Its class in the style.
    pub(super) class: &'static str,
    /// None where there is nothing to show.
    pub(super) values: Vec<Option<f64>>,
}

/// What a chart is about.
pub(super) struct About<'a> {
    /// Its name on the page.
    pub(super) id: &'a str,
    /// Its title.
    pub(super) title: &'a str,
    /// What its numbers are.
    pub(super) unit: &'a str,
    /// When each bucket began, in words.
    pub(super) times: &'a [String],
}

/// Bars of `stacked` on top of each other, with a line of `over` before them.
pub(super) fn bars(about: &About<'_>, stacked: &[Row], over: &Row) -> Markup {
    let n = about.times.len();
    let height = |i: usize| stacked.iter().filter_map(|row| row.values[i]).sum::<f64>();
    let tallest = (0..n).map(|i| height(i).max(over.values[i].unwrap_or(0.0))).fold(0.0, f64::max);
    let top = round_up(tallest);
    let y = |value: f64| HEIGHT - value / top * HEIGHT;
    let mut rects = Vec::new();
    for i in 0..n {
        let mut below = 0.0;
        for row in stacked {
            let value = row.values[i].unwrap_or(0.0);
            if value > 0.0 {
                let (from, to) = (y(below), y(below + value));
                rects.push((row.class, i as f64 + 0.1, to, from - to));
            }
            below += value;
        }
    }
    let drawing = html! {
        @for (class, x, y, height) in rects {
            rect class=(class) x=(short(x)) y=(short(y)) width="0.8" height=(short(height)) {}
        }
        path class={ "line " (over.class) } d=(steps(&over.values, y)) {}
    };
    let ticks = [(top, 0.0), (top / 2.0, 50.0), (0.0, 100.0)];
    let ticks = ticks.map(|(value, at)| (count(value), at));
    let rows: Vec<&Row> = std::iter::once(over).chain(stacked).collect();
    frame(about, &rows, &ticks, &drawing, &count)
}

/// Lines of seconds on a logarithmic scale.
pub(super) fn lines(about: &About<'_>, rows: &[Row]) -> Markup {
    let all = || rows.iter().flat_map(|row| row.values.iter().copied().flatten());
    let (low, high) = decades(all());
    let y = |seconds: f64| {
        let share = (seconds.max(1e-6).log10() - low) / (high - low);
        HEIGHT - share.clamp(0.0, 1.0) * HEIGHT
    };
    let drawing = html! {
        @for row in rows {
            path class={ "line " (row.class) } d=(joined(&row.values, y)) {}
            @for (i, value) in row.values.iter().enumerate() {
                @if let Some(value) = value {
                    @if is_alone(&row.values, i) {
                        path class={ "line " (row.class) } d={ "M" (i) " " (short(y(*value))) "h1" } {}
                    }
                }
            }
        }
    };
    let steps = (high - low).round() as i32;
    let ticks: Vec<(String, f64)> = (0..=steps)
        .map(|step| {
            let power = high - f64::from(step);
            (decade(power), f64::from(step) / f64::from(steps) * 100.0)
        })
        .collect();
    let rows: Vec<&Row> = rows.iter().collect();
    frame(about, &rows, &ticks, &drawing, &|seconds| parts::length(seconds))
}

/// Whether a value has no neighbour to be joined to.
fn is_alone(values: &[Option<f64>], i: usize) -> bool {
    let before = i.checked_sub(1).and_then(|i| values[i]);
    before.is_none() && values.get(i + 1).copied().flatten().is_none()
}

/// The drawing with what is written around it.
fn frame(
    about: &About<'_>,
    rows: &[&Row],
    ticks: &[(String, f64)],
    drawing: &Markup,
    words: &dyn Fn(f64) -> String,
) -> Markup {
    let n = about.times.len();
    let (first, last) = (about.times.first(), about.times.last());
    let middle = about.times.get(n / 2);
    let empty = (0..n).all(|i| !happened(rows, i));
    html! {
        figure.chart id=(about.id) {
            figcaption {
                span.title { (about.title) }
                ul.legend { @for row in rows { li { i class=(row.class) {} (row.name) } } }
            }
            div.plot {
                ul.scale aria-hidden="true" { @for (word, _) in ticks { li { (word) } } }
                div.drawing {
                    svg viewBox={ "0 0 " (n) " " (HEIGHT) } preserveAspectRatio="none" aria-hidden="true" {
                        @for (_, at) in ticks {
                            path.grid d={ "M0 " (short(*at)) "H" (n) } {}
                        }
                        (drawing)
                        @for (i, time) in about.times.iter().enumerate() {
                            rect.touch x=(i) y="0" width="1" height=(HEIGHT) {
                                title { (time) @for row in rows { "\n" (said(row, i, words)) } }
                            }
                        }
                    }
                    @if empty { p.quiet { "Nothing happened." } }
                }
                ul.times aria-hidden="true" {
                    @for time in [first, middle, last].into_iter().flatten() { li { (time) } }
                }
            }
            (table(about, rows, words))
        }
    }
}

fn said(row: &Row, i: usize, words: &dyn Fn(f64) -> String) -> String {
    let value = row.values.get(i).copied().flatten();
    format!("{}: {}", row.name, value.map_or_else(|| "–".to_owned(), words))
}

/// Whether there is anything to tell of a bucket: a count above nothing, or a length of time, of nothing too.
fn happened(rows: &[&Row], i: usize) -> bool {
    let counts = rows.iter().all(|row| row.values.iter().all(Option::is_some));
    rows.iter().any(|row| row.values[i].is_some_and(|value| !counts || value > 0.0))
}

/// The numbers for who does not see the drawing; buckets in which nothing happened are left out.
fn table(about: &About<'_>, rows: &[&Row], words: &dyn Fn(f64) -> String) -> Markup {
    let told: Vec<usize> = (0..about.times.len()).filter(|i| happened(rows, *i)).collect();
    html! {
        details.numbers data-key={ (about.id) "-numbers" } {
            summary { "As numbers" span.unseen { ": " (about.title) } }
            @if told.is_empty() { p.quiet { "Nothing happened." } } @else {
                div.scroll tabindex="0" role="region" aria-label={ (about.title) ", as numbers" } {
                    table {
                        thead { tr {
                            th scope="col" { "Time (UTC)" }
                            @for row in rows { th.num scope="col" { (row.name) } }
                        } }
                        tbody {
                            @for i in told {
                                tr {
                                    th scope="row" { (about.times[i]) }
                                    @for row in rows {
                                        td.num { (row.values[i].map_or_else(|| "–".to_owned(), words)) }
                                    }
                                }
                            }
                        }
                    }
                }
                p.quiet { (about.unit) }
            }
        }
    }
}

/// A line of steps: a value holds for the whole bucket.
fn steps(values: &[Option<f64>], y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    for (i, value) in values.iter().enumerate() {
        let start = if path.is_empty() { 'M' } else { 'L' };
        let at = short(y(value.unwrap_or(0.0)));
        path.push_str(&format!("{start}{i} {at}H{}", i + 1));
    }
    path
}

/// A line from the middle of each bucket to the next, with gaps where nothing is.
fn joined(values: &[Option<f64>], y: impl Fn(f64) -> f64) -> String {
    let (mut path, mut pen_down) = (String::new(), false);
    for (i, value) in values.iter().enumerate() {
        if let Some(value) = value {
            let word = if pen_down { 'L' } else { 'M' };
            path.push_str(&format!("{word}{i}.5 {}", short(y(*value))));
        }
        pen_down = value.is_some();
    }
    path
}

/// The powers of ten around all values, at least two apart.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let logs = values.map(|seconds| seconds.max(1e-6).log10());
    let (low, high) = logs
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), log| (low.min(log), high.max(log)));
    if low > high {
        return (-3.0, 0.0);
    }
    // What took less than a millisecond stands at the bottom.
    let (low, high) = (low.floor().max(-3.0), high.ceil());
    (low, high.max(low + 2.0))
}

/// `1 ms`, `10 s`: a power of ten of seconds.
fn decade(power: f64) -> String {
    let power = power.round() as i32;
    let (unit, over) = match power {
        ..-3 => ("µs", power + 6),
        -3..0 => ("ms", power + 3),
        _ => ("s", power),
    };
    format!("{} {unit}", 10_i64.pow(over.max(0).unsigned_abs()))
}

/// The next number that reads well: 1, 2 or 5 of its power of ten, and 2 at least.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(2.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value).unwrap_or(value).max(2.0)
}

fn count(value: f64) -> String {
    parts::number(value.round().max(0.0) as u64)
}

/// As few digits as a drawing needs.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
