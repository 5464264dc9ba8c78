//! The room of search: what a search text means, and sketches of many texts, which tell where a text
//! cannot be. What is searched, and where sketches are kept, is the stores' to say.

use crate::limits::{SEARCH_CHARS_MAX, SEARCH_TERMS_MAX};

/// What is looked for: words and "quoted phrases", all of which must be in the title or in the
/// description, anywhere, whatever the letters' case. No character stands for anything but itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    terms: Vec<String>,
}

/// The rule that a search text breaks: a stable word, and what is expected.
pub type Broken = (&'static str, &'static str);

impl Search {
    /// Reads a search text: 1 to 200 characters, no control characters, 1 to 10 words or phrases. White
    /// space separates them; between two `"` it does not, and a `"` without a partner is a character.
    ///
    /// # Errors
    ///
    /// The rule that is broken.
    pub fn parse(text: &str) -> Result<Self, Broken> {
        let chars = text.chars().count();
        if chars == 0 || chars > SEARCH_CHARS_MAX {
            return Err(("length", "must be 1 to 200 characters"));
        }
        if text.chars().any(char::is_control) {
            return Err(("control-character", "must not contain control characters"));
        }
        let terms = terms(text);
        match terms.len() {
            0 => Err(("too-short", "must have a word to look for")),
            1..=SEARCH_TERMS_MAX => Ok(Self { terms }),
            _ => Err(("too-many", "must have at most 10 words or phrases")),
        }
    }

    /// Whether it is in these texts. A term must be in one of them, different terms may be in different
    /// ones.
    pub fn finds(&self, title: &str, description: Option<&str>) -> bool {
        let title = folded(title);
        let mut description = description.map(|text| (text, None));
        self.terms.iter().all(|term| {
            // Most texts are decided by their title.
            title.contains(term.as_str())
                || description.as_mut().is_some_and(|(text, folds)| {
                    folds.get_or_insert_with(|| folded(text)).contains(term.as_str())
                })
        })
    }

    /// The places of a sketch that are set when one of its texts has all of this in it, at most
    /// [`PLACES_MAX`]; none when it is too short for any. The same first places as often as it has
    /// fewer.
    pub fn places(&self) -> Option<[u32; PLACES_MAX]> {
        let mut hashes = Vec::new();
        for term in &self.terms {
            let chars: Vec<char> = term.chars().collect();
            for length in GRAMS {
                hashes.extend(chars.windows(length).map(hash));
            }
        }
        // Pieces that are far from each other say more than neighbours.
        let step = hashes.len().div_ceil(PLACES_MAX).max(1);
        let spread: Vec<u64> = hashes.iter().rev().step_by(step).copied().collect();
        // Every piece's first place before any piece's second one.
        let firsts = spread.iter().map(|hash| places_of(*hash)[0]);
        let seconds = spread.iter().map(|hash| places_of(*hash)[1]);
        let all: Vec<u32> = firsts.chain(seconds).collect();
        let mut places = [*all.first()?; PLACES_MAX];
        for (place, found) in places.iter_mut().zip(all.iter().cycle()) {
            *place = *found;
        }
        Some(places)
    }
}

fn terms(text: &str) -> Vec<String> {
    let (mut terms, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let quoted = rest.strip_prefix('"').and_then(|after| after.split_once('"'));
        let (term, after) = match quoted {
            Some((phrase, after)) if !phrase.trim().is_empty() => (phrase, after),
            Some((_, after)) => ("", after),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        if !term.is_empty() {
            terms.push(folded(term));
        }
        rest = after.trim_start();
    }
    terms
}

/// A text without the case of its letters, letter by letter, so that what is part of a text is part of
/// the folded text too. The two small sigmas are one letter: which of them a capital becomes depends on its
/// neighbours.
fn folded(text: &str) -> String {
    let sigma = |letter| if letter == 'ς' { 'σ' } else { letter };
    match text.is_ascii() {
        true => text.to_ascii_lowercase(),
        false => text.chars().flat_map(char::to_lowercase).map(sigma).collect(),
    }
}

/// How many characters the pieces have by which texts are known. A term that is shorter than all of them
/// is not told apart by sketches, and stands in so many texts that a walk finds it soon. Long pieces tell
/// numbers and ids apart, short ones serve short terms.
const GRAMS: [usize; 2] = [4, 5];

/// The places of a sketch, in bits. With its row it stays below a page of PostgreSQL (8 KiB), so that it
/// is read where it lies.
const PLACES: usize = 57_344;

/// The length of a sketch in bytes.
pub const SKETCH_BYTES: usize = PLACES / 8;

/// How many places a search looks at.
pub const PLACES_MAX: usize = 16;

/// From so many set places on (18 %) a sketch takes no more texts: a piece that is in none of them is
/// then taken for one that is in 3 of 100 cases, two pieces in 1 of 1,000.
const FULL: u32 = 10_322;

/// From so many set places on a sketch says too little to be worth its room.
const BLURRED: u32 = 34_406;

/// What is in many texts, roughly: a Bloom filter (Bloom 1970, "Space/time trade-offs in hash coding with
/// allowable errors") of their pieces. It may take a text for one that is in it, never the other way round.
#[derive(Debug, Clone)]
pub struct Sketch {
    bytes: Vec<u8>,
    set: u32,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { bytes: vec![0; SKETCH_BYTES], set: 0 }
    }
}

impl Sketch {
    /// A sketch that was kept; None when it is none.
    pub fn kept(bytes: Vec<u8>) -> Option<Self> {
        let set = bytes.iter().map(|byte| byte.count_ones()).sum();
        (bytes.len() == SKETCH_BYTES).then_some(Self { bytes, set })
    }

    /// Adds what is in another one.
    pub fn join(&mut self, other: &Self) {
        self.bytes.iter_mut().zip(&other.bytes).for_each(|(byte, other)| *byte |= other);
        self.set = self.bytes.iter().map(|byte| byte.count_ones()).sum();
    }

    /// Adds a text.
    pub fn add(&mut self, text: &str) {
        if self.is_blurred() {
            return;
        }
        let chars: Vec<char> = folded(text).chars().collect();
        for length in GRAMS {
            for gram in chars.windows(length) {
                for place in places_of(hash(gram)) {
                    let (byte, bit) = (place as usize / 8, 1 << (place % 8));
                    if let Some(byte) = self.bytes.get_mut(byte).filter(|byte| **byte & bit == 0) {
                        *byte |= bit;
                        self.set += 1;
                    }
                }
            }
        }
    }

    /// Whether it should take no more texts.
    pub fn is_full(&self) -> bool {
        self.set >= FULL
    }

    /// Whether it says too little to be kept.
    pub fn is_blurred(&self) -> bool {
        self.set >= BLURRED
    }

    /// The bytes to keep: bit `n` is `byte[n / 8] >> (n % 8) & 1`, as PostgreSQL's `get_bit` counts.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Whether a kept sketch has all these places. One of another length says nothing: it may have them.
pub fn may_hold(sketch: &[u8], places: &[u32]) -> bool {
    sketch.len() != SKETCH_BYTES
        || places.iter().all(|place| {
            sketch.get(*place as usize / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1)
        })
}

/// The same number for the same characters in every version: sketches are kept. FNV-1a over the
/// characters (Fowler, Noll, Vo; RFC 9923), then the finaliser of `SplitMix64` (Steele, Lea, Flood 2014).
fn hash(gram: &[char]) -> u64 {
    let fnv = gram.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, letter| {
        (hash ^ u64::from(u32::from(*letter))).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The two places of a piece.
fn places_of(hash: u64) -> [u32; 2] {
    let places = PLACES as u64;
    [hash >> 32, hash & 0xffff_ffff].map(|half| u32::try_from((half * places) >> 32).unwrap_or(0))
}
