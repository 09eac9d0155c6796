//! The objects in a text, one after the other, whatever holds them together.
//!
//! In: plain bytes and where to start. Out: items in order: an object with its range and kind, or a range that could not
//! be read, with the reason. Covers `{"Records":[…]}` with `Records` anywhere, bare arrays, JSON lines, values written
//! back to back, and any mix of them; a byte-order mark, white space and stray commas are passed over.
//!
//! Where structure is lost (an odd quote, a missing or doubled bracket, a cut tail) the next object that looks like the
//! ones wanted is searched for, so a broken item is one [`Item::Fault`] and its neighbours are whole. Invariants: ranges
//! do not overlap and come in order; every call moves on; a lost item costs at most one capped scan and one search.

use std::ops::Range;

use memchr::memmem;

use super::{
    opening::{Kind, Members, decides_record, is_record_key, kind_at, literal_end, skip_blank, string_end},
    split::{ScanLimits, Scanned, scan_value},
};

/// Why an item could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is a number, text or list where an object belongs.
    NotAnObject,
    /// The text ends before it does.
    CutShort,
    TooDeep,
    TooLong,
    /// Quotes or brackets do not pair up.
    Unbalanced,
    /// The list that holds the items is not closed; whatever followed is missing.
    OpenEnd,
}

impl Fault {
    pub(super) fn reason(self, limits: ScanLimits) -> String {
        match self {
            Self::NotAnObject => "it is not a JSON object".to_owned(),
            Self::CutShort => "the text ends inside it".to_owned(),
            Self::TooDeep => format!("it nests deeper than {} levels (setting `max_json_depth`)", limits.max_depth),
            Self::TooLong => format!("it is longer than {} bytes (setting `max_record_bytes`)", limits.max_bytes),
            Self::Unbalanced => "its quotes or brackets do not pair up".to_owned(),
            Self::OpenEnd => "the list of records is not closed: what followed here is missing".to_owned(),
        }
    }
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Object { range: Range<usize>, kind: Kind },
    Fault { range: Range<usize>, kind: Kind, fault: Fault },
}

/// What the reader is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// Nothing: values follow one another.
    Stream,
    /// A bare array.
    Array,
    /// The array of a `{"Records":[…]}`.
    Wrapper,
}

/// The items of one text.
pub(super) struct Items<'a> {
    text: &'a [u8],
    at: usize,
    holder: Holder,
    limits: ScanLimits,
    envelope_limits: ScanLimits,
    is_log_key: &'a dyn Fn(&str) -> bool,
    /// The key that the first object opened with: its broken neighbours' successors will, too.
    first_key: Option<&'a [u8]>,
    /// `{"eventVersion"` or whatever a record opened with, once that alone has told it: the next is told by one comparison.
    record_opening: Option<&'a [u8]>,
    done: bool,
}

impl<'a> Items<'a> {
    /// Reads from the start of `text`. `limits` bound one record, `envelope_limits` one envelope.
    pub(super) fn new(
        text: &'a [u8],
        limits: ScanLimits,
        envelope_limits: ScanLimits,
        is_log_key: &'a dyn Fn(&str) -> bool,
    ) -> Self {
        let at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self {
            text,
            at,
            holder: Holder::Stream,
            limits,
            envelope_limits,
            is_log_key,
            first_key: None,
            record_opening: None,
            done: false,
        }
    }

    /// Takes back an object that turned out to be no JSON: if another item starts inside it, reading goes on there and
    /// the range that is really lost is given back.
    pub(super) fn give_back(&mut self, range: &Range<usize>) -> Range<usize> {
        match self.next_start(range.start + 1, range.end) {
            Some(start) => {
                self.at = start;
                self.done = false;
                self.trimmed(range.start..start)
            }
            None => range.clone(),
        }
    }

    fn scan_limits(&self, kind: Kind) -> ScanLimits {
        match kind {
            Kind::EventBridge | Kind::LogsEnvelope | Kind::LambdaLogs | Kind::Digest | Kind::Wrapper(_) => {
                self.envelope_limits
            }
            _ => self.limits,
        }
    }

    fn object(&mut self, start: usize) -> Option<Item> {
        let rest = self.text.get(start..).unwrap_or_default();
        let kind = if self.record_opening.is_some_and(|opening| rest.starts_with(opening)) {
            Kind::Record
        } else {
            kind_at(self.text, start, self.envelope_limits, self.is_log_key)
        };
        if let (Kind::Wrapper(inside), Holder::Stream) = (kind, self.holder) {
            self.at = inside;
            self.holder = Holder::Wrapper;
            return None;
        }
        if self.first_key.is_none() {
            self.learn(start, kind);
        }
        let fault = match scan_value(self.text, start, self.scan_limits(kind)) {
            Scanned::Complete(end) if self.ends_well(end) => {
                self.at = end;
                return Some(Item::Object { range: start..end, kind });
            }
            Scanned::Complete(_) => Fault::Unbalanced,
            Scanned::Unfinished => Fault::CutShort,
            Scanned::TooDeep(_) => Fault::TooDeep,
            Scanned::TooLong => Fault::TooLong,
        };
        Some(self.lost(start, kind, fault))
    }

    /// Remembers how the first object opens.
    fn learn(&mut self, start: usize, kind: Kind) {
        let Some((key, _)) = Members::new(self.text, start, self.limits).next_key() else {
            return;
        };
        self.first_key = Some(key);
        let opening = self.text.get(start..start + 1 + key.len() + 2).unwrap_or_default();
        let is_plain = opening.strip_prefix(b"{\"").and_then(|rest| rest.strip_suffix(b"\"")) == Some(key);
        if kind == Kind::Record && is_plain && decides_record(key, self.is_log_key) {
            self.record_opening = Some(opening);
        }
    }

    /// True when the object that ends before `end` is followed by what may follow one.
    fn ends_well(&self, end: usize) -> bool {
        if end.checked_sub(1).and_then(|last| self.text.get(last)) != Some(&b'}') {
            return false;
        }
        let next = skip_blank(self.text, end, b"");
        match (self.text.get(next), self.holder) {
            (None | Some(b'{'), _) | (Some(b'['), Holder::Stream) | (Some(b']'), Holder::Array | Holder::Wrapper) => {
                true
            }
            // A key behind the comma: the object was closed too early.
            (Some(b','), _) => !self.is_key(skip_blank(self.text, next, b",")),
            (Some(b'}' | b']' | b':' | b'"'), _) => false,
            // Prose on a line of its own.
            (Some(_), Holder::Stream) => self.text.get(end..next).is_some_and(|blank| blank.contains(&b'\n')),
            _ => false,
        }
    }

    fn is_key(&self, at: usize) -> bool {
        self.text.get(at) == Some(&b'"')
            && string_end(self.text, at).and_then(|end| self.text.get(skip_blank(self.text, end, b""))) == Some(&b':')
    }

    /// The list, text or literal `start..end` where an object belongs. What does not end as an item ends is a piece of
    /// something broken: reading on behind it would take the insides of texts for outsides.
    fn not_an_object(&mut self, start: usize, end: usize) -> Item {
        let next = skip_blank(self.text, end, b"");
        let ends_well = match (self.text.get(next), self.holder) {
            (None | Some(b',' | b'{'), _) | (Some(b']'), Holder::Array | Holder::Wrapper) => true,
            (Some(_), Holder::Stream) => self.text.get(end..next).is_some_and(|blank| blank.contains(&b'\n')),
            _ => false,
        };
        if !ends_well {
            return self.lost(start, Kind::Other, Fault::Unbalanced);
        }
        self.at = end;
        Item::Fault { range: start..end, kind: Kind::Other, fault: Fault::NotAnObject }
    }

    /// Gives up on the item at `start` and finds where to go on.
    fn lost(&mut self, start: usize, kind: Kind, fault: Fault) -> Item {
        match self.next_start(start + 1, self.text.len()) {
            Some(next) => {
                self.at = next;
                // What looked like the end of the text was only a lost quote or bracket.
                let fault = if fault == Fault::CutShort { Fault::Unbalanced } else { fault };
                Item::Fault { range: self.trimmed(start..next), kind, fault }
            }
            None => {
                self.done = true;
                self.at = self.text.len();
                Item::Fault { range: self.trimmed(start..self.text.len()), kind, fault }
            }
        }
    }

    /// Without the separators behind the lost item.
    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let lost = self.text.get(range.clone()).unwrap_or_default();
        let kept =
            lost.iter().rposition(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',')).map_or(1, |at| at + 1);
        range.start..range.end.min(range.start + kept)
    }

    /// The first place in `from..until` where a whole object starts that looks like those wanted.
    fn next_start(&self, from: usize, until: usize) -> Option<usize> {
        let mut from = from;
        while let Some(found) = memchr::memchr(b'{', self.text.get(from..until)?) {
            let start = from + found;
            if self.is_start(start) {
                return Some(start);
            }
            from = start + 1;
        }
        None
    }

    fn is_start(&self, start: usize) -> bool {
        let Some((key, _)) = Members::new(self.text, start, self.limits).next_key() else {
            return false;
        };
        let familiar = self.first_key == Some(key);
        if !familiar && !is_record_key(key) {
            return false;
        }
        let Scanned::Complete(end) = scan_value(self.text, start, self.limits) else {
            // A cut last line is still a line of its own when it starts one.
            return familiar && self.holder == Holder::Stream && self.starts_line(start);
        };
        let object = self.text.get(start..end).unwrap_or_default();
        let wanted = (familiar && !is_record_key(key)) || memmem::find(object, b"\"eventSource\"").is_some();
        wanted && (self.ends_well(end) || self.starts_line(start))
    }

    fn starts_line(&self, start: usize) -> bool {
        start.checked_sub(1).and_then(|before| self.text.get(before)) == Some(&b'\n')
    }

    /// Leaves the array whose `]` is at `at`.
    fn leave(&mut self, at: usize) {
        self.at = at + 1;
        if self.holder == Holder::Wrapper {
            let mut rest = Members::resume(self.text, at + 1, self.envelope_limits);
            while let Some((_, value_at)) = rest.next_key() {
                if rest.skip_value(value_at).is_none() {
                    break;
                }
            }
            let end = rest.position();
            self.at = if self.text.get(end) == Some(&b'}') { end + 1 } else { end };
        }
        self.holder = Holder::Stream;
    }
}

impl Iterator for Items<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        while !self.done {
            let start = skip_blank(self.text, self.at, b",");
            let Some(byte) = self.text.get(start) else {
                self.done = true;
                self.at = start;
                let range = start..start;
                return (self.holder != Holder::Stream).then_some(Item::Fault {
                    range,
                    kind: Kind::Other,
                    fault: Fault::OpenEnd,
                });
            };
            match (byte, self.holder) {
                (b'{', _) => {
                    if let Some(item) = self.object(start) {
                        return Some(item);
                    }
                }
                (b'[', Holder::Stream) => {
                    self.at = start + 1;
                    self.holder = Holder::Array;
                }
                (b']', Holder::Array | Holder::Wrapper) => self.leave(start),
                (b'}' | b']' | b':', _) => return Some(self.lost(start, Kind::Other, Fault::Unbalanced)),
                (b'[', _) => {
                    let Scanned::Complete(end) = scan_value(self.text, start, self.limits) else {
                        return Some(self.lost(start, Kind::Other, Fault::Unbalanced));
                    };
                    // A stray bracket in front of good items costs itself alone.
                    if self.next_start(start + 1, end).is_some() {
                        return Some(self.lost(start, Kind::Other, Fault::Unbalanced));
                    }
                    return Some(self.not_an_object(start, end));
                }
                (b'"', _) => {
                    let end = string_end(self.text, start).filter(|end| end - start <= self.limits.max_bytes);
                    let Some(end) = end else {
                        return Some(self.lost(start, Kind::Other, Fault::Unbalanced));
                    };
                    return Some(self.not_an_object(start, end));
                }
                _ => {
                    let end = literal_end(self.text, start).max(start + 1);
                    // Bare words in a stream are prose: the whole line is one fault, not each word.
                    if self.holder != Holder::Stream {
                        return Some(self.not_an_object(start, end));
                    }
                    let line = memchr::memchr(b'\n', self.text.get(start..).unwrap_or_default());
                    self.at = line.map_or(self.text.len(), |line| start + line).max(start + 1);
                    let fault = Fault::NotAnObject;
                    return Some(Item::Fault { range: self.trimmed(start..self.at), kind: Kind::Other, fault });
                }
            }
        }
        None
    }
}

#[cfg(test)]
#[path = "items_tests.rs"]
mod tests;
