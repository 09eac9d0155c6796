//! Where a JSON value ends, without parsing it.
//!
//! In: bytes and the offset of a `{` or `[`. Out: the offset just past its matching bracket, or why there is none.
//! The scan works on 64 bytes at a time: one bit per byte for quotes, backslashes and brackets, from which the bytes
//! inside strings are masked out. It looks at structure only: `{` and `[` count alike, and literals are not checked.
//!
//! Invariants: the answer does not depend on the instruction set (AVX2 where the machine has it, SSE2 on any x86-64,
//! plain code elsewhere; tests hold them equal); no byte is read outside the slice; depth and length are capped. This
//! is the only file of the crate with unsafe code, and only for the vector loads.

/// What bounds a scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanLimits {
    /// Brackets that may be open at once.
    pub(super) max_depth: usize,
    /// Bytes that one value may take.
    pub(super) max_bytes: usize,
}

/// How a scan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// The value ends just before this offset.
    Complete(usize),
    /// The text ends inside the value.
    Unfinished,
    /// More brackets were open at this offset than allowed.
    TooDeep(usize),
    /// The value is longer than allowed.
    TooLong,
}

/// Finds the end of the object or array that opens at `start`.
pub(super) fn scan_value(text: &[u8], start: usize, limits: ScanLimits) -> Scanned {
    let Some(rest) = text.get(start..) else {
        return Scanned::Unfinished;
    };
    let cut = rest.len() > limits.max_bytes;
    let window = rest.get(..limits.max_bytes).unwrap_or(rest);
    match scan_best(window, limits.max_depth) {
        Scanned::Complete(end) => Scanned::Complete(start + end),
        Scanned::TooDeep(at) => Scanned::TooDeep(start + at),
        Scanned::Unfinished if cut => Scanned::TooLong,
        other => other,
    }
}

#[cfg(target_arch = "x86_64")]
fn scan_best(window: &[u8], max_depth: usize) -> Scanned {
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") && is_x86_feature_detected!("bmi1") {
        // SAFETY: the machine has these three, as just detected.
        unsafe { x86::scan_avx2(window, max_depth) }
    } else {
        scan_with::<x86::Sse2>(window, max_depth)
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn scan_best(window: &[u8], max_depth: usize) -> Scanned {
    scan_with::<Portable>(window, max_depth)
}

/// Bytes looked at in one step.
const BLOCK: usize = 64;

/// One bit per byte of a block.
struct Bits {
    quotes: u64,
    backslashes: u64,
    opens: u64,
    closes: u64,
}

trait Classify {
    fn classify(block: &[u8; BLOCK]) -> Bits;
}

/// The same answer on any machine; also what the vector versions are tested against.
#[cfg(any(not(target_arch = "x86_64"), test))]
struct Portable;

#[cfg(any(not(target_arch = "x86_64"), test))]
impl Classify for Portable {
    #[inline(always)]
    fn classify(block: &[u8; BLOCK]) -> Bits {
        let mut bits = Bits { quotes: 0, backslashes: 0, opens: 0, closes: 0 };
        for (at, byte) in block.iter().enumerate() {
            let bit = 1u64 << at;
            match byte {
                b'"' => bits.quotes |= bit,
                b'\\' => bits.backslashes |= bit,
                b'{' | b'[' => bits.opens |= bit,
                b'}' | b']' => bits.closes |= bit,
                _ => {}
            }
        }
        bits
    }
}

/// The bytes whose meaning a backslash takes. `carry` is 1 when the block before ended in such a backslash.
#[inline(always)]
fn escaped_by(mut backslashes: u64, carry: &mut u64) -> u64 {
    let mut escaped = *carry;
    backslashes &= !*carry;
    *carry = 0;
    while backslashes != 0 {
        let at = backslashes.trailing_zeros();
        if at == 63 {
            *carry = 1;
            break;
        }
        escaped |= 2u64 << at;
        // The escaped byte may itself be a backslash: it escapes nothing.
        backslashes &= !(3u64 << at);
    }
    escaped
}

/// Each bit becomes the parity of the bits up to and including it.
#[inline(always)]
fn running_parity(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ (bits << 32)
}

#[inline(always)]
fn scan_with<C: Classify>(window: &[u8], max_depth: usize) -> Scanned {
    let mut depth = 0usize;
    let mut escape_carry = 0u64;
    // All ones when the block before ended inside a string.
    let mut string_carry = 0u64;
    let (blocks, tail) = window.as_chunks::<BLOCK>();
    let mut last = [b' '; BLOCK];
    for (to, from) in last.iter_mut().zip(tail) {
        *to = *from;
    }
    for (number, block) in blocks.iter().chain(std::iter::once(&last)).enumerate() {
        let bits = C::classify(block);
        let escaped =
            if bits.backslashes | escape_carry == 0 { 0 } else { escaped_by(bits.backslashes, &mut escape_carry) };
        let in_string = running_parity(bits.quotes & !escaped) ^ string_carry;
        string_carry = 0u64.wrapping_sub(in_string >> 63);
        let (opens, closes) = (bits.opens & !in_string & !escaped, bits.closes & !in_string & !escaped);
        let (opened, closed) = (opens.count_ones() as usize, closes.count_ones() as usize);
        // Neither the end nor the depth cap can lie in this block: only the sums count.
        if closed < depth && depth + opened <= max_depth {
            depth = depth + opened - closed;
            continue;
        }
        let mut brackets = opens | closes;
        while brackets != 0 {
            let at = brackets.trailing_zeros() as usize;
            if (closes >> at) & 1 == 1 {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Scanned::Complete(number * BLOCK + at + 1);
                }
            } else {
                depth += 1;
                if depth > max_depth {
                    return Scanned::TooDeep(number * BLOCK + at);
                }
            }
            brackets &= brackets - 1;
        }
    }
    Scanned::Unfinished
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
        _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
    };

    use super::{BLOCK, Bits, Classify, Scanned, scan_with};

    // `[` and `{`, and `]` and `}`, differ in this bit alone, so one comparison finds both of a pair.
    const PAIR_BIT: i8 = 0x20;
    const QUOTE: i8 = b'"'.cast_signed();
    const BACKSLASH: i8 = b'\\'.cast_signed();
    const OPEN: i8 = b'{'.cast_signed();
    const CLOSE: i8 = b'}'.cast_signed();

    pub(super) struct Sse2;

    impl Classify for Sse2 {
        #[inline(always)]
        fn classify(block: &[u8; BLOCK]) -> Bits {
            let mut bits = Bits { quotes: 0, backslashes: 0, opens: 0, closes: 0 };
            for lane in 0..4 {
                // SAFETY: SSE2 is part of every x86-64; the load takes 16 bytes at 0, 16, 32 or 48 of 64 and needs no
                // alignment.
                let masks = unsafe {
                    let bytes = _mm_loadu_si128(block.as_ptr().add(lane * 16).cast::<__m128i>());
                    let paired = _mm_or_si128(bytes, _mm_set1_epi8(PAIR_BIT));
                    [
                        _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(QUOTE))),
                        _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(BACKSLASH))),
                        _mm_movemask_epi8(_mm_cmpeq_epi8(paired, _mm_set1_epi8(OPEN))),
                        _mm_movemask_epi8(_mm_cmpeq_epi8(paired, _mm_set1_epi8(CLOSE))),
                    ]
                };
                add(&mut bits, masks, lane * 16);
            }
            bits
        }
    }

    pub(super) struct Avx2;

    impl Classify for Avx2 {
        #[inline(always)]
        fn classify(block: &[u8; BLOCK]) -> Bits {
            let mut bits = Bits { quotes: 0, backslashes: 0, opens: 0, closes: 0 };
            for lane in 0..2 {
                // SAFETY: only `scan_avx2` names this type, and its caller has detected AVX2; the load takes 32 bytes at
                // 0 or 32 of 64 and needs no alignment.
                let masks = unsafe {
                    let bytes = _mm256_loadu_si256(block.as_ptr().add(lane * 32).cast::<__m256i>());
                    let paired = _mm256_or_si256(bytes, _mm256_set1_epi8(PAIR_BIT));
                    [
                        _mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(QUOTE))),
                        _mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(BACKSLASH))),
                        _mm256_movemask_epi8(_mm256_cmpeq_epi8(paired, _mm256_set1_epi8(OPEN))),
                        _mm256_movemask_epi8(_mm256_cmpeq_epi8(paired, _mm256_set1_epi8(CLOSE))),
                    ]
                };
                add(&mut bits, masks, lane * 32);
            }
            bits
        }
    }

    #[inline(always)]
    fn add(bits: &mut Bits, [quotes, backslashes, opens, closes]: [i32; 4], shift: usize) {
        bits.quotes |= u64::from(quotes.cast_unsigned()) << shift;
        bits.backslashes |= u64::from(backslashes.cast_unsigned()) << shift;
        bits.opens |= u64::from(opens.cast_unsigned()) << shift;
        bits.closes |= u64::from(closes.cast_unsigned()) << shift;
    }

    /// The scan compiled for AVX2.
    #[target_feature(enable = "avx2,popcnt,bmi1")]
    pub(super) fn scan_avx2(window: &[u8], max_depth: usize) -> Scanned {
        scan_with::<Avx2>(window, max_depth)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: ScanLimits = ScanLimits { max_depth: 16, max_bytes: 1 << 20 };

    /// The plainest possible statement of what the scan promises.
    fn by_the_byte(text: &[u8], max_depth: usize) -> Scanned {
        let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
        for (at, byte) in text.iter().enumerate() {
            if escaped {
                escaped = false;
                continue;
            }
            match byte {
                b'\\' => escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => {
                    depth += 1;
                    if depth > max_depth {
                        return Scanned::TooDeep(at);
                    }
                }
                b'}' | b']' if !in_string => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Scanned::Complete(at + 1);
                    }
                }
                _ => {}
            }
        }
        Scanned::Unfinished
    }

    fn all_agree(text: &[u8], max_depth: usize) -> Result<(), TestCaseError> {
        let wanted = by_the_byte(text, max_depth);
        prop_assert_eq!(scan_with::<Portable>(text, max_depth), wanted);
        prop_assert_eq!(scan_best(text, max_depth), wanted);
        #[cfg(target_arch = "x86_64")]
        prop_assert_eq!(scan_with::<x86::Sse2>(text, max_depth), wanted);
        Ok(())
    }

    /// Bytes drawn mostly from those that matter, so that every combination falls on every block boundary.
    fn json_like() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            4 => Just(b'"'), 4 => Just(b'\\'), 3 => Just(b'{'), 1 => Just(b'['), 2 => Just(b'}'), 1 => Just(b']'),
            6 => Just(b'a'), 1 => Just(b'|'), 1 => Just(b'<'), 1 => any::<u8>(),
        ];
        proptest::collection::vec(byte, 0..400)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn every_version_gives_the_same_answer(text in json_like(), max_depth in 1usize..8) {
            all_agree(&text, max_depth)?;
            let mut opened = vec![b'{'];
            opened.extend_from_slice(&text);
            all_agree(&opened, max_depth)?;
        }

        #[test]
        fn the_value_ends_where_it_ends_at_every_alignment(
            lead in 0usize..130,
            body in "[a-z\\\\\"\\{\\[\\}\\] é]{0,90}",
            trail in json_like(),
        ) {
            let value = serde_json::to_string(&serde_json::json!({ "k": body, "l": [[body], {}] })).expect("prints");
            let mut text = vec![b' '; lead];
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(&trail);
            prop_assert_eq!(scan_value(&text, lead, LIMITS), Scanned::Complete(lead + value.len()));
            all_agree(text.get(lead..).expect("in range"), LIMITS.max_depth)?;
        }
    }

    #[test]
    fn runs_of_backslashes_across_a_block_boundary() {
        for lead in 50..70 {
            for run in 0..8 {
                let text = format!("{{\"{}{}\"}}", "x".repeat(lead), "\\".repeat(run));
                all_agree(text.as_bytes(), 4).expect("all versions agree");
            }
        }
    }

    #[test]
    fn depth_and_length_are_capped() {
        let deep = "[".repeat(17);
        assert_eq!(scan_value(deep.as_bytes(), 0, LIMITS), Scanned::TooDeep(16));
        let fits = format!("{}{}", "[".repeat(16), "]".repeat(16));
        assert_eq!(scan_value(fits.as_bytes(), 0, LIMITS), Scanned::Complete(32));
        let short = ScanLimits { max_bytes: 31, ..LIMITS };
        assert_eq!(scan_value(fits.as_bytes(), 0, short), Scanned::TooLong);
        assert_eq!(scan_value(b"{\"a\":1", 0, LIMITS), Scanned::Unfinished);
        assert_eq!(scan_value(b"{}", 7, LIMITS), Scanned::Unfinished);
    }
}
