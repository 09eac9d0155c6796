//! Delivered bytes to plain bytes: the only decompressor.
//!
//! In: an object as delivered. Out: the bytes themselves if they do not start with the gzip magic, else the contents of
//! all its gzip members, one after the other (CloudWatch Logs through Firehose puts several back to back).
//!
//! One shot into a buffer that is kept between objects and grows while the member does not fit: the size that gzip
//! states is a first guess, never a promise. Invariants: no more than `max_bytes` come out, nor more than `max_ratio`
//! times what went in; every member's checksum is checked; bytes after the last member are an error unless they are
//! zeros. Bad input is an error with the offset of the member at fault.

use libdeflater::{DecompressionError, Decompressor};
use thiserror::Error;

/// The first bytes of a gzip member with the one method there is.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Header and trailer of the smallest member.
const MEMBER_MIN: usize = 18;
/// A small object may unpack to this much whatever its ratio.
const RATIO_FLOOR: usize = 1 << 20;
/// Room made at first when nothing better is known.
const FIRST_ROOM: usize = 256 << 10;
/// No member is worth guessing more than this times its size before it proves to need it.
const GUESS_RATIO: usize = 32;

/// How much may come out.
#[derive(Clone, Copy, Debug)]
pub(super) struct GunzipLimits {
    pub(super) max_bytes: usize,
    pub(super) max_ratio: usize,
}

/// Why an object could not be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum GunzipError {
    #[error("the gzip data is corrupt or cut short in the member at byte {0}")]
    Corrupt(usize),
    #[error("bytes that are no gzip member follow at byte {0}")]
    Trailing(usize),
    #[error("it holds more than {0} bytes (setting `max_object_bytes`)")]
    TooLong(usize),
    #[error("it unpacks to more than {0} times its size (setting `max_gzip_ratio`)")]
    TooDense(usize),
}

/// The decompressor and its output, kept between objects.
#[derive(Default)]
pub(super) struct Gunzip {
    inflater: Option<Decompressor>,
    output: Vec<u8>,
}

impl std::fmt::Debug for Gunzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gunzip").field("room", &self.output.len()).finish_non_exhaustive()
    }
}

/// True when the bytes start like a gzip member.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

impl Gunzip {
    /// The plain bytes of `delivered`: itself, or what its gzip members hold.
    pub(super) fn plain<'a>(&'a mut self, delivered: &'a [u8], limits: GunzipLimits) -> Result<&'a [u8], GunzipError> {
        if !is_gzip(delivered) {
            return if delivered.len() > limits.max_bytes {
                Err(GunzipError::TooLong(limits.max_bytes))
            } else {
                Ok(delivered)
            };
        }
        let mut member_at = 0;
        let mut written = 0;
        while let Some(rest) = delivered.get(member_at..).filter(|rest| !rest.is_empty()) {
            if !is_gzip(rest) {
                if rest.iter().all(|byte| *byte == 0) {
                    break;
                }
                return Err(GunzipError::Trailing(member_at));
            }
            let length = self.member(rest, member_at, written, delivered.len(), limits)?;
            let member = self.output.get(written..written + length).unwrap_or_default();
            member_at += member_length(rest, member).ok_or(GunzipError::Corrupt(member_at))?;
            written += length;
        }
        Ok(self.output.get(..written).unwrap_or_default())
    }

    /// Gives back the memory of an unusually large object.
    pub(super) fn shrink(&mut self, keep: usize) {
        if self.output.len() > keep {
            self.output = Vec::new();
        }
    }

    /// Unpacks the first member of `rest` behind what is written already, and gives its length.
    fn member(
        &mut self,
        rest: &[u8],
        member_at: usize,
        written: usize,
        delivered: usize,
        limits: GunzipLimits,
    ) -> Result<usize, GunzipError> {
        let dense = delivered.saturating_mul(limits.max_ratio).max(RATIO_FLOOR);
        let cap = limits.max_bytes.min(dense);
        let over = if dense < limits.max_bytes {
            GunzipError::TooDense(limits.max_ratio)
        } else {
            GunzipError::TooLong(limits.max_bytes)
        };
        // One byte more than allowed, so that exactly the cap fits and one more byte is seen.
        let cap = cap.saturating_add(1);
        let guess = rest.len().saturating_mul(GUESS_RATIO).min(stated_length(rest)).max(FIRST_ROOM);
        let mut room = self.output.len().max(written.saturating_add(guess)).min(cap);
        loop {
            if self.output.len() < room && written == 0 {
                // Fresh zero pages instead of copying what an earlier object left behind.
                self.output = Vec::new();
                self.output = vec![0; room];
            } else if self.output.len() < room {
                self.output.resize(room, 0);
            }
            let target = self.output.get_mut(written..room.max(written)).unwrap_or_default();
            let inflater = self.inflater.get_or_insert_with(Decompressor::new);
            match inflater.gzip_decompress(rest, target) {
                Ok(length) if written + length >= cap => return Err(over),
                Ok(length) => return Ok(length),
                Err(DecompressionError::BadData) => return Err(GunzipError::Corrupt(member_at)),
                Err(DecompressionError::InsufficientSpace) if room >= cap => return Err(over),
                Err(DecompressionError::InsufficientSpace) => room = room.saturating_mul(2).min(cap),
            }
        }
    }
}

/// What the last four bytes say the size is, plus one so that a true statement needs no second try at a full buffer.
fn stated_length(rest: &[u8]) -> usize {
    rest.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size) as usize + 1)
}

/// Where the first member of `rest` ends, given what it unpacked to.
///
/// libdeflate's safe interface does not say how much it read, so the end is found by the trailer: checksum and length of
/// the contents. It is looked for only where another member might start, else at the very end, which is the usual case.
fn member_length(rest: &[u8], member: &[u8]) -> Option<usize> {
    let body = rest.get(MEMBER_MIN..).unwrap_or_default();
    let size = (member.len() as u32).to_le_bytes();
    let mut trailer = None;
    let mut trailer = || {
        *trailer.get_or_insert_with(|| {
            let [a, b, c, d] = libdeflater::crc32(member).to_le_bytes();
            let [e, f, g, h] = size;
            [a, b, c, d, e, f, g, h]
        })
    };
    for at in memchr::memmem::find_iter(body, &MAGIC) {
        let end = MEMBER_MIN + at;
        if rest.get(..end).is_some_and(|head| head.ends_with(&size)) && rest.get(..end)?.ends_with(&trailer()) {
            return Some(end);
        }
    }
    if rest.ends_with(&size) {
        return Some(rest.len());
    }
    memchr::memmem::find(rest, &trailer()).map(|at| at + trailer().len())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

    const LIMITS: GunzipLimits = GunzipLimits { max_bytes: 4 << 20, max_ratio: 500 };

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(plain).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    }

    #[test]
    fn plain_bytes_pass_and_members_are_joined() {
        let mut gunzip = Gunzip::default();
        assert_eq!(gunzip.plain(b"{}", LIMITS), Ok(&b"{}"[..]));
        assert_eq!(gunzip.plain(b"", LIMITS), Ok(&b""[..]));
        // Equal members too: their trailers are the same bytes.
        let delivered = [gzip(b"one"), gzip(b"two"), gzip(b"two"), gzip(b""), gzip(b"three")].concat();
        assert_eq!(gunzip.plain(&delivered, LIMITS), Ok(&b"onetwotwothree"[..]));
        let padded = [gzip(b"one"), vec![0; 512]].concat();
        assert_eq!(gunzip.plain(&padded, LIMITS), Ok(&b"one"[..]));
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let mut gunzip = Gunzip::default();
        let whole = gzip(&b"some text, some text".repeat(50));
        let cut = whole.get(..whole.len() - 3).expect("long enough");
        assert_eq!(gunzip.plain(cut, LIMITS), Err(GunzipError::Corrupt(0)));
        let second_cut = [&whole, cut].concat();
        assert_eq!(gunzip.plain(&second_cut, LIMITS), Err(GunzipError::Corrupt(whole.len())));
        let littered = [&whole[..], b"litter"].concat();
        assert_eq!(gunzip.plain(&littered, LIMITS), Err(GunzipError::Trailing(whole.len())));
        let mut flipped = whole.clone();
        *flipped.get_mut(30).expect("long enough") ^= 0x10;
        assert_eq!(gunzip.plain(&flipped, LIMITS), Err(GunzipError::Corrupt(0)));
    }

    #[test]
    fn what_comes_out_is_capped() {
        let mut gunzip = Gunzip::default();
        let exact: Vec<u8> = (0..4u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert_eq!(gunzip.plain(&gzip(&exact), LIMITS).map(<[u8]>::len), Ok(exact.len()));
        let more = [&exact[..], b"x"].concat();
        assert_eq!(gunzip.plain(&gzip(&more), LIMITS), Err(GunzipError::TooLong(LIMITS.max_bytes)));
        assert_eq!(gunzip.plain(&more, LIMITS), Err(GunzipError::TooLong(LIMITS.max_bytes)));
        let halves = [gzip(&exact), gzip(b"x")].concat();
        assert_eq!(gunzip.plain(&halves, LIMITS), Err(GunzipError::TooLong(LIMITS.max_bytes)));
        let bomb = gzip(&vec![0; 3 << 20]);
        assert_eq!(gunzip.plain(&bomb, LIMITS), Err(GunzipError::TooDense(LIMITS.max_ratio)));
        assert!(gunzip.output.len() <= LIMITS.max_bytes + 1);
    }

    #[test]
    fn a_lying_size_is_not_believed() {
        let mut gunzip = Gunzip::default();
        let mut liar = gzip(b"short");
        let end = liar.len();
        liar.get_mut(end - 4..).expect("a trailer").copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(gunzip.plain(&liar, LIMITS), Err(GunzipError::Corrupt(0)));
        assert!(gunzip.output.len() <= 1 << 20);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_members_come_back_and_no_damage_panics(
            members in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..5),
            flip in any::<usize>(),
            keep in any::<usize>(),
        ) {
            let mut gunzip = Gunzip::default();
            let mut delivered: Vec<u8> = members.iter().flat_map(|member| gzip(member)).collect();
            prop_assert_eq!(gunzip.plain(&delivered, LIMITS), Ok(&members.concat()[..]));
            let at = flip % delivered.len();
            delivered[at] ^= 0x41;
            delivered.truncate(1 + keep % delivered.len());
            let _outcome = gunzip.plain(&delivered, LIMITS).map(<[u8]>::len);
        }
    }
}
