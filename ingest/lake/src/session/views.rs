//! The views: one SQL file each, registered as logical plans.
//!
//! In: a session that holds the stored tables. Out: the same session with every view, in the order in which they build
//! on each other. Each file opens with comment lines: what a row is, then one `--   column: meaning` line for each column.
//!
//! Invariant: a view is inlined into the query that names it, so filters and column choices reach the stored tables.

use std::sync::Arc;

use deltalake::datafusion::{datasource::ViewTable, error::DataFusionError, prelude::SessionContext};

/// One view: its name and its SQL file.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub name: &'static str,
    pub sql: &'static str,
    /// Whether the reference page and the prompt's list show it; the others are steps of those that do.
    pub listed: bool,
}

impl View {
    /// The comment's words before its first column line.
    pub fn description(&self) -> String {
        let lines: Vec<&str> = self.comment().take_while(|line| !line.starts_with("  ")).map(str::trim).collect();
        lines.join("\n").trim().to_owned()
    }

    /// Each column's meaning, as the comment gives it.
    pub fn column_docs(&self) -> Vec<(String, String)> {
        let mut docs: Vec<(String, String)> = Vec::new();
        for line in self.comment().filter(|line| line.starts_with("  ")) {
            match (line.strip_prefix("    "), docs.last_mut()) {
                (Some(more), Some((_, doc))) => {
                    doc.push(' ');
                    doc.push_str(more.trim());
                }
                _ => {
                    if let Some((column, doc)) = line.trim().split_once(": ") {
                        docs.push((column.to_owned(), doc.trim().to_owned()));
                    }
                }
            }
        }
        docs
    }

    /// The opening comment, without its dashes and one space.
    fn comment(&self) -> impl Iterator<Item = &'static str> {
        self.sql.lines().map_while(|line| line.strip_prefix("--")).map(|line| line.strip_prefix(' ').unwrap_or(line))
    }
}

macro_rules! view {
    ($name:literal, $listed:literal) => {
        View { name: $name, sql: include_str!(concat!("../../views/", $name, ".sql")), listed: $listed }
    };
}

/// Every view; later ones build on earlier ones.
pub static VIEWS: &[View] = &[
    view!("unresolved_events", false),
    view!("secret_identities", false),
    view!("access_events", true),
    view!("horizon", true),
    view!("rotation_signals", true),
    view!("value_changes", false),
    view!("rotations", true),
    view!("versions", true),
    view!("rotators", false),
    view!("pairs", true),
    view!("secrets", true),
    view!("principals", true),
    view!("principal_networks", true),
    view!("principal_agents", true),
    view!("objects", true),
    view!("quarantine", true),
    view!("alerts", true),
    view!("alert_deliveries", true),
    view!("alert_history", true),
    view!("rule_precision", true),
    view!("suppressions", true),
    view!("deliveries", false),
    view!("coverage", true),
    view!("silences", true),
    view!("account_silences", true),
];

/// Plans and registers one view.
pub(super) async fn register(session: &SessionContext, view: &View) -> Result<(), DataFusionError> {
    let plan = session.state().create_logical_plan(view.sql).await?;
    session.register_table(view.name, Arc::new(ViewTable::new(plan, Some(view.sql.to_owned()))))?;
    Ok(())
}
