//! Parameters: from the text that somebody typed to a value of a type.
//!
//! In: `key=value` texts and, for a named query, the types that its front matter declares. Out: values that the engine
//! binds to `$name`; text never becomes SQL. A text that does not fit its type is an error that shows how one looks.

use std::{collections::BTreeMap, ops::ControlFlow};

use keytrail_lake::{
    arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit},
    datafusion::{
        common::tree_node::{TreeNode, TreeNodeRecursion},
        error::DataFusionError,
        logical_expr::{Expr, LogicalPlan},
        scalar::ScalarValue,
        sql::{
            parser::Statement,
            sqlparser::{
                ast::{Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArguments, Value, visit_expressions_mut},
                dialect::GenericDialect,
                parser::Parser,
            },
        },
    },
};
use keytrail_model::time::{self, Micros};

use crate::error::{QueryError, QueryErrorKind};

/// The types that a parameter may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    Text,
    Integer,
    Number,
    Boolean,
    /// A moment, or `horizon`: the newest data of the lake.
    Moment,
    /// A length of time such as `30d`.
    Duration,
}

impl ParamKind {
    /// Every kind with its word in the front matter.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Text, "text"),
        (Self::Integer, "integer"),
        (Self::Number, "number"),
        (Self::Boolean, "boolean"),
        (Self::Moment, "moment"),
        (Self::Duration, "duration"),
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("text", |(_, word)| word)
    }

    /// How one is written.
    pub const fn example(self) -> &'static str {
        match self {
            Self::Text => "any text",
            Self::Integer => "a whole number such as 30",
            Self::Number => "a number such as 0.5",
            Self::Boolean => "true or false",
            Self::Moment => "a moment such as 2026-08-01 or 2026-08-01T12:00:00Z, or horizon for the newest data",
            Self::Duration => "a length of time such as 90m, 12h, 30d or 2w",
        }
    }

    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Moment => moment_type(),
            Self::Duration => DataType::Interval(IntervalUnit::MonthDayNano),
        }
    }

    /// The value of a text; `horizon` is what the word of that name stands for.
    fn parse(self, text: &str, horizon: Option<Micros>) -> Option<ScalarValue> {
        let trimmed = text.trim();
        match self {
            Self::Text => Some(ScalarValue::from(text)),
            Self::Integer => trimmed.parse::<i64>().ok().map(ScalarValue::from),
            Self::Number => trimmed.parse::<f64>().ok().filter(|number| number.is_finite()).map(ScalarValue::from),
            Self::Boolean => trimmed.parse::<bool>().ok().map(ScalarValue::from),
            // An empty lake has no horizon: the null makes every comparison false, as it should be.
            Self::Moment if trimmed == HORIZON => Some(moment(horizon)),
            Self::Moment => time::parse_human(trimmed).map(|at| moment(Some(at))),
            Self::Duration => duration(trimmed).map(|interval| ScalarValue::IntervalMonthDayNano(Some(interval))),
        }
    }
}

/// The default that stands for the lake's newest data.
pub(crate) const HORIZON: &str = "horizon";

fn moment_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn moment(at: Option<Micros>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(at, Some("UTC".into()))
}

/// `30d`, `12h`, `90m`, `45s`, `2w`.
fn duration(text: &str) -> Option<IntervalMonthDayNano> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let number: i32 = digits.parse().ok()?;
    let unit = text.strip_prefix(digits.as_str())?.trim();
    let nanoseconds = |seconds: i64| i64::from(number).checked_mul(seconds)?.checked_mul(1_000_000_000);
    match unit {
        "s" => nanoseconds(1).map(|nanoseconds| IntervalMonthDayNano::new(0, 0, nanoseconds)),
        "m" | "min" => nanoseconds(60).map(|nanoseconds| IntervalMonthDayNano::new(0, 0, nanoseconds)),
        "h" => nanoseconds(3_600).map(|nanoseconds| IntervalMonthDayNano::new(0, 0, nanoseconds)),
        "d" => Some(IntervalMonthDayNano::new(0, number, 0)),
        "w" => number.checked_mul(7).map(|days| IntervalMonthDayNano::new(0, days, 0)),
        _ => None,
    }
}

/// One declared parameter of a named query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamSpec {
    pub name: String,
    pub kind: ParamKind,
    /// The text used when none is given; without it the parameter must be given.
    pub default: Option<String>,
    pub doc: String,
}

impl ParamSpec {
    pub(crate) fn value(&self, given: Option<&str>, horizon: Option<Micros>) -> Result<ScalarValue, QueryError> {
        let Some(text) = given.or(self.default.as_deref()) else {
            return Err(QueryError::new(
                QueryErrorKind::Parameter,
                format!("the parameter `{}` is missing", self.name),
            )
            .hint(Some(format!("give it with --param {}=VALUE: {}", self.name, self.doc))));
        };
        self.kind.parse(text, horizon).ok_or_else(|| does_not_fit(&self.name, text, self.kind))
    }
}

fn does_not_fit(name: &str, text: &str, kind: ParamKind) -> QueryError {
    let shown: String = text.chars().take(80).collect();
    QueryError::new(QueryErrorKind::Parameter, format!("the parameter `{name}` cannot be `{shown}`"))
        .hint(Some(format!("write {}", kind.example())))
}

/// Parameters by name.
pub(crate) type Kinds = BTreeMap<String, ParamKind>;

/// The kind of each `$name` of a plan, from the types that the engine gives it where it stands.
pub(crate) fn infer(plan: &LogicalPlan) -> Result<Kinds, DataFusionError> {
    let mut found: BTreeMap<String, Option<DataType>> = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|expression| {
                if let Expr::Placeholder(placeholder) = expression {
                    let data_type = placeholder.field.as_ref().map(|field| field.data_type().clone());
                    let known = found.entry(placeholder.id.trim_start_matches('$').to_owned()).or_default();
                    *known = known.take().or(data_type.filter(|data_type| *data_type != DataType::Null));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found.into_iter().map(|(name, data_type)| (name, kind_of(data_type.as_ref()))).collect())
}

fn kind_of(inferred: Option<&DataType>) -> ParamKind {
    match inferred {
        Some(DataType::Boolean) => ParamKind::Boolean,
        Some(data_type) if data_type.is_integer() => ParamKind::Integer,
        Some(data_type) if data_type.is_numeric() => ParamKind::Number,
        Some(DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) => ParamKind::Moment,
        Some(DataType::Interval(_) | DataType::Duration(_)) => ParamKind::Duration,
        _ => ParamKind::Text,
    }
}

/// Gives every `$name` of the statement its type, as `arrow_cast($name, 'TYPE')`, so that the engine plans `$now - $window`
/// as a moment minus a length of time before it knows the values.
pub(crate) fn declare(statement: &mut Statement, kinds: &Kinds) {
    match statement {
        Statement::Statement(inner) => {
            let walked: ControlFlow<()> = visit_expressions_mut(inner.as_mut(), |expression| {
                if let Some(typed) = typed(expression, kinds) {
                    *expression = typed;
                }
                ControlFlow::Continue(())
            });
            debug_assert!(walked.is_continue(), "nothing breaks the walk");
        }
        Statement::Explain(explain) => declare(&mut explain.statement, kinds),
        _ => {}
    }
}

fn typed(expression: &SqlExpr, kinds: &Kinds) -> Option<SqlExpr> {
    let SqlExpr::Value(value) = expression else { return None };
    let Value::Placeholder(name) = &value.value else { return None };
    let kind = kinds.get(name.trim_start_matches('$'))?;
    let template = format!("arrow_cast(NULL, '{}')", kind.data_type());
    let mut call =
        Parser::new(&GenericDialect {}).try_with_sql(&template).and_then(|mut parser| parser.parse_expr()).ok()?;
    if let SqlExpr::Function(function) = &mut call
        && let FunctionArguments::List(list) = &mut function.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))) = list.args.first_mut()
    {
        *argument = expression.clone();
        return Some(call);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_what_it_says() {
        for (kind, text) in [
            (ParamKind::Text, "any text"),
            (ParamKind::Integer, "-30"),
            (ParamKind::Number, "0.5"),
            (ParamKind::Boolean, "true"),
            (ParamKind::Moment, "2026-08-01"),
            (ParamKind::Moment, "2026-08-01T12:00:00Z"),
            (ParamKind::Moment, "horizon"),
            (ParamKind::Duration, "90m"),
            (ParamKind::Duration, "2w"),
        ] {
            let value = kind.parse(text, Some(0)).expect(text);
            assert_eq!(value.data_type(), kind.data_type(), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (kind, text) in [
            (ParamKind::Integer, "1.5"),
            (ParamKind::Integer, "1; DROP TABLE x"),
            (ParamKind::Number, "NaN"),
            (ParamKind::Boolean, "yes"),
            (ParamKind::Moment, "yesterday"),
            (ParamKind::Duration, "30"),
            (ParamKind::Duration, "d"),
            (ParamKind::Duration, "99999999999d"),
            (ParamKind::Duration, "-3d"),
        ] {
            assert!(kind.parse(text, None).is_none(), "{text}");
        }
    }
}
