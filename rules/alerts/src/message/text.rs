//! The message as plain text: for mail, topics and terminals.

use keytrail_model::display::count;

use super::Message;
use crate::sink::text::cut_bytes;

impl Message {
    /// The whole message, at most so many bytes; what is most worth knowing comes first, so a cut loses the small print.
    pub fn text(&self, max_bytes: usize) -> String {
        let mut paragraphs = vec![self.headline.clone(), self.reason.clone()];
        let mut facts: Vec<String> =
            self.facts.iter().map(|fact| format!("{}: {}", capital(fact.name), fact.value)).collect();
        facts.extend(self.by.iter().map(|by| format!("By: {by}")));
        paragraphs.push(facts.join("\n"));
        paragraphs.push(self.unusual_lines().join("\n"));
        paragraphs.push(self.first_step.as_ref().map_or_else(String::new, |step| format!("First: {step}")));
        paragraphs.push(self.storm_lines().join("\n"));
        let behind = [("Before", &self.before), ("Also", &self.also)];
        let behind: Vec<String> =
            behind.iter().filter_map(|(name, text)| Some(format!("{name}: {}", text.as_ref()?))).collect();
        paragraphs.push(behind.join("\n"));
        paragraphs.push(format!("{}\n{}", self.link.as_str(), self.about));
        paragraphs.retain(|paragraph| !paragraph.is_empty());
        cut_bytes(&paragraphs.join("\n\n"), max_bytes)
    }

    /// One line for each comparison: what, now, how usual that is, what is usual.
    pub fn unusual_lines(&self) -> Vec<String> {
        let line = |odd: &super::Unusual| {
            let usual = if odd.usual.is_empty() { String::new() } else { format!("; usual: {}", odd.usual) };
            format!("{} {}: {} ({}){usual}", capital(&odd.dimension), odd.value, odd.word, odd.sample)
        };
        self.unusual.iter().map(line).collect()
    }

    /// A storm's counts and its most urgent alerts.
    pub fn storm_lines(&self) -> Vec<String> {
        let Some(storm) = &self.storm else { return Vec::new() };
        let mut rules: Vec<String> =
            storm.by_rule.iter().map(|(rule, number)| format!("{rule} {}", count(*number as i64))).collect();
        if storm.rule_count > storm.by_rule.len() {
            rules.push(format!("{} more rules", storm.rule_count - storm.by_rule.len()));
        }
        let mut lines = vec![format!("By rule: {}", rules.join(", "))];
        lines.extend(
            storm.top.iter().map(|alert| format!("{}: {}", alert.severity.as_str().to_uppercase(), alert.title)),
        );
        if storm.alert_count > storm.top.len() {
            lines.push(format!("and {} more", count((storm.alert_count - storm.top.len()) as i64)));
        }
        lines
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
