//! Which known name a misspelt one was meant to be.
//! It only compares names; whether a near miss is a fault or a warning is decided in `sources.rs`.

use super::settings::SETTINGS;

/// The known name within two slips of `name` (one slip for names as short as `PORT`, where two
/// slips reach half the dictionary).
pub(super) fn misspelt(name: &str) -> Option<&'static str> {
    let (distance, known) = closest(name)?;
    (distance <= if known.len() <= 5 { 1 } else { 2 }).then_some(known)
}

/// The known name that `name` resembles most, if it resembles any at all. For names that cannot be
/// anything but ours.
pub(super) fn suggestion(name: &str) -> Option<&'static str> {
    let (distance, known) = closest(name)?;
    (distance * 3 <= known.len() + 1).then_some(known)
}

fn closest(name: &str) -> Option<(usize, &'static str)> {
    let name = name.to_ascii_uppercase();
    SETTINGS.iter().map(|known| (slips(&name, known.name), known.name)).min()
}

/// Edit distance in which two neighbours swapped count as one slip, as fingers make it.
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (above[j - 1] + changed).min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}
