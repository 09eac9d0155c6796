//! "Did you mean": the known name that is nearest to a mistyped one.
//!
//! In: what was typed and what exists. Out: the nearest name, if it is near enough to be a slip and not another word.

/// The nearest of `known` to `typed`: the same but for case, or few edits away, or the one that begins with it.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let allowed = (typed.chars().count() / 3).clamp(1, 4);
    let mut best: Option<(usize, &str)> = None;
    for name in known {
        let lower = name.to_lowercase();
        let begins = typed.chars().count() >= 3 && lower.starts_with(&typed);
        // A beginning is a weaker sign than a slip of one letter, a stronger one than a slip of three.
        let edits = strsim::osa_distance(&typed, &lower);
        let distance = if begins { edits.min(2) } else { edits };
        if (begins || distance <= allowed) && best.is_none_or(|(nearest, found)| (distance, name) < (nearest, found)) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// ``did you mean `x`?``
pub(crate) fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(typed, known).map(|name| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let known = ["secret_identities", "secrets", "principals", "pairs", "access_events", "alerts"];
        assert_eq!(nearest("secret", known), Some("secrets"));
        assert_eq!(nearest("SECRETS", known), Some("secrets"));
        assert_eq!(nearest("acess_event", known), Some("access_events"));
        assert_eq!(nearest("access", known), Some("access_events"));
        assert_eq!(nearest("prinicpals", known), Some("principals"));
        assert_eq!(nearest("invoices", known), None);
        assert_eq!(nearest("x", known), None);
        assert_eq!(nearest("", known), None);
    }
}
