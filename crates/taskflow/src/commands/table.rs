//! Tables and foreign text for a terminal: plain characters, columns as wide as what they hold, and
//! nothing that a terminal would obey. It prints nothing and knows nothing of tasks.

/// Widest cell of every column but the last.
const CELL_MAX: usize = 30;

/// The last column never gets less, however narrow the terminal is.
const LAST_MIN: usize = 20;

/// Columns of a place that is no terminal.
const ELSEWHERE: usize = 120;

/// Between two columns.
const GAP: &str = "  ";

/// Rows under headings. The last column takes the room that the others leave.
pub(super) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(super) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, a cell for every heading. Whatever a terminal would obey becomes visible text.
    pub(super) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        debug_assert_eq!(N, self.headings.len(), "a cell for every heading");
        self.rows.push(cells.into_iter().map(harmless).collect());
    }

    /// The lines, none longer than `width` columns if the last column can be cut to make that so.
    pub(super) fn render(&self, width: usize) -> String {
        let last = self.headings.len().saturating_sub(1);
        let mut widths: Vec<usize> = self.headings.iter().map(|heading| columns(heading)).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row).take(last) {
                *widest = columns(cell).clamp(*widest, CELL_MAX.max(*widest));
            }
        }
        let before: usize = widths.iter().take(last).map(|width| width + GAP.len()).sum();
        if let Some(widest) = widths.get_mut(last) {
            *widest = width.saturating_sub(before).max(LAST_MIN);
        }
        let headings = line(&self.headings, &widths);
        let rows = self.rows.iter().map(|row| line(row, &widths));
        std::iter::once(headings).chain(rows).collect()
    }
}

/// One line of a table with its end, and no blanks before it.
fn line<T: AsRef<str>>(cells: &[T], widths: &[usize]) -> String {
    let cells = cells.iter().zip(widths).map(|(cell, width)| {
        let cell = cut(cell.as_ref(), *width);
        let blanks = width.saturating_sub(columns(&cell));
        cell + &" ".repeat(blanks)
    });
    let line = cells.collect::<Vec<String>>().join(GAP);
    format!("{}\n", line.trim_end())
}

/// The text in at most `width` columns; what is cut off leaves `…`.
pub(super) fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += breadth(c);
        if used >= width {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}

/// The text on one line, with every character that a terminal would obey, or that would hide or turn
/// round what stands beside it, as its escape: `\n`, `\u{1b}`.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// JSON as it is, but for what a terminal would obey inside its strings: an escape of the same
/// meaning. Line ends between its parts stay.
pub(super) fn harmless_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // Never inside a string, where JSON has them as escapes only.
            '\n' | '\t' => shown.push(c),
            '\r' => shown.push(' '),
            _ if is_obeyed(c) => shown += &format!("\\u{:04x}", u32::from(c)),
            _ => shown.push(c),
        }
    }
    shown
}

/// Control characters (escape sequences begin with one), and those that change the direction of
/// text, break lines or take no room. All of them fit into four hexadecimal digits.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn columns(text: &str) -> usize {
    text.chars().map(breadth).sum()
}

/// How many columns a character takes: marks none, those of East Asia and pictures two. Near enough
/// for a table; the whole truth is a table of its own.
fn breadth(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x1ab0..=0x1aff | 0x200c..=0x200d | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Columns of the terminal that standard output is; a fixed number when it is none.
pub(super) fn room() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(ELSEWHERE)
}

#[cfg(test)]
mod tests;
