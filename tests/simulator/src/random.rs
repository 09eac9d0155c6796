//! Everything random, from the seed alone.
//!
//! A generator is named by what it is for, so that adding a behaviour does not move the draws of another; identifiers that
//! must be stable (a role's unique id, a secret's suffix) are derived from their name instead of drawn.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) type Random = ChaCha8Rng;

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ALNUM: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The generator for one purpose.
pub(crate) fn random_for(seed: u64, purpose: &str) -> Random {
    // FNV-1a: stable across releases of the standard library, unlike its hasher.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in purpose.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    Random::seed_from_u64(hash)
}

/// Appends a version-4 UUID.
pub(crate) fn push_uuid(random: &mut Random, out: &mut String) {
    let bits: u128 = random.random();
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    for place in (0..32).rev() {
        if matches!(place, 23 | 19 | 15 | 11) {
            out.push('-');
        }
        out.push(char::from(HEX[(bits >> (place * 4)) as usize & 15]));
    }
}

pub(crate) fn uuid(random: &mut Random) -> String {
    let mut out = String::with_capacity(36);
    push_uuid(random, &mut out);
    out
}

fn text(random: &mut Random, alphabet: &[u8], length: usize) -> String {
    (0..length).map(|_| char::from(alphabet[random.random_range(0..alphabet.len())])).collect()
}

pub(crate) fn hex(random: &mut Random, length: usize) -> String {
    text(random, HEX, length)
}

pub(crate) fn alnum(random: &mut Random, length: usize) -> String {
    text(random, ALNUM, length)
}

/// An IAM identifier: a four-letter prefix and sixteen or seventeen letters and digits.
pub(crate) fn iam_id(random: &mut Random, prefix: &str) -> String {
    format!("{prefix}{}", text(random, BASE32, 17 - usize::from(prefix.starts_with("AK") || prefix.starts_with("AS"))))
}

/// True with this probability.
pub(crate) fn chance(random: &mut Random, probability: f64) -> bool {
    random.random::<f64>() < probability
}

pub(crate) fn pick<'a, T>(random: &mut Random, from: &'a [T]) -> &'a T {
    &from[random.random_range(0..from.len())]
}
