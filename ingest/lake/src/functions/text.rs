//! What all of our functions have in common: text in, one value a row out.
//!
//! In: a [`Function`] (name, documentation, row kernel). Out: the function as the engine calls it. Arguments of any
//! text type are brought to one; a call whose arguments are all constants is answered once.
//!
//! Invariant: a row with a null argument is null without asking the kernel, except where the function says that a null
//! is as good as an empty text.

use std::{fmt, hash, sync::Arc};

use deltalake::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanBuilder, Int64Builder, StringArray, StringBuilder},
        compute::cast,
        datatypes::DataType,
    },
    datafusion::{
        common::{DataFusionError, Result, ScalarValue},
        logical_expr::{
            ColumnarValue, DocSection, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
        },
    },
};

/// What a function gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    Boolean,
    Integer,
    Text,
}

impl Returns {
    pub(super) const fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Text => DataType::Utf8,
        }
    }

    /// The word that the reference page uses.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Text => "text",
        }
    }
}

/// One row's answer.
pub(super) enum Answer {
    Boolean(bool),
    Integer(i64),
    Text(String),
    Null,
}

/// Judges one row; made anew for each batch so that it can remember its last constant argument.
pub(super) type Kernel = Box<dyn FnMut(&[&str]) -> Result<Answer, String>>;

/// A function of SQL: its page and its kernel.
pub struct Function {
    pub name: &'static str,
    /// Each argument's name and meaning, in order.
    pub arguments: &'static [(&'static str, &'static str)],
    pub returns: Returns,
    pub description: &'static str,
    /// A call and its result, both as SQL; the tests run them.
    pub examples: &'static [(&'static str, &'static str)],
    /// Whether a null argument reaches the kernel, as an empty text, rather than making the row null.
    pub(super) takes_nulls: bool,
    pub(super) kernel: fn() -> Kernel,
}

impl Function {
    /// `cidr_contains(cidr, ip)`.
    pub fn syntax(&self) -> String {
        let names: Vec<&str> = self.arguments.iter().map(|(name, _)| *name).collect();
        format!("{}({})", self.name, names.join(", "))
    }

    pub(super) fn documentation(&self) -> Documentation {
        let mut builder = Documentation::builder(
            DocSection { include: true, label: "Keytrail", description: None },
            self.description,
            self.syntax(),
        );
        for (name, meaning) in self.arguments {
            builder = builder.with_argument(*name, *meaning);
        }
        for (call, _) in self.examples {
            builder = builder.with_sql_example(format!("SELECT {call}"));
        }
        builder.build()
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.syntax())
    }
}

/// A [`Function`] as the engine sees it.
#[derive(Debug)]
pub(super) struct TextUdf {
    function: &'static Function,
    signature: Signature,
    documentation: Documentation,
}

impl TextUdf {
    pub(super) fn new(function: &'static Function) -> Self {
        Self {
            function,
            signature: Signature::string(function.arguments.len(), Volatility::Immutable),
            documentation: function.documentation(),
        }
    }
}

impl PartialEq for TextUdf {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for TextUdf {}

impl hash::Hash for TextUdf {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for TextUdf {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.function.returns.data_type())
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        apply(self.function, (self.function.kernel)(), &args)
    }
}

/// One argument of a call: the same text for all rows, or a column.
enum Argument {
    Constant(Option<String>),
    Column(StringArray),
}

impl Argument {
    fn new(value: &ColumnarValue) -> Result<Self> {
        match value {
            ColumnarValue::Scalar(scalar) => match scalar.cast_to(&DataType::Utf8)? {
                ScalarValue::Utf8(text) => Ok(Self::Constant(text)),
                other => Err(DataFusionError::Execution(format!("expected text, got {}", other.data_type()))),
            },
            ColumnarValue::Array(array) => Ok(Self::Column(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())),
        }
    }

    fn at(&self, row: usize) -> Option<&str> {
        match self {
            Self::Constant(text) => text.as_deref(),
            Self::Column(column) => column.is_valid(row).then(|| column.value(row)),
        }
    }
}

/// Runs a kernel over all rows of a call.
pub(super) fn apply(function: &Function, mut kernel: Kernel, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let arguments = args.args.iter().map(Argument::new).collect::<Result<Vec<_>>>()?;
    let constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
    let rows = if constant { 1 } else { args.number_rows };
    let mut answers = Answers::new(function.returns, rows);
    let mut texts = Vec::with_capacity(arguments.len());
    for row in 0..rows {
        texts.clear();
        let empty = function.takes_nulls.then_some("");
        texts.extend(arguments.iter().filter_map(|argument| argument.at(row).or(empty)));
        let answer = if texts.len() == arguments.len() {
            kernel(&texts).map_err(|reason| DataFusionError::Execution(format!("{}: {reason}", function.name)))?
        } else {
            Answer::Null
        };
        answers.push(answer);
    }
    let array = answers.finish();
    if constant {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
    }
    Ok(ColumnarValue::Array(array))
}

enum Answers {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Text(StringBuilder),
}

impl Answers {
    fn new(returns: Returns, rows: usize) -> Self {
        match returns {
            Returns::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            Returns::Integer => Self::Integer(Int64Builder::with_capacity(rows)),
            Returns::Text => Self::Text(StringBuilder::with_capacity(rows, rows * 16)),
        }
    }

    fn push(&mut self, answer: Answer) {
        match (self, answer) {
            (Self::Boolean(builder), Answer::Boolean(value)) => builder.append_value(value),
            (Self::Integer(builder), Answer::Integer(value)) => builder.append_value(value),
            (Self::Text(builder), Answer::Text(value)) => builder.append_value(value),
            (Self::Boolean(builder), _) => builder.append_null(),
            (Self::Integer(builder), _) => builder.append_null(),
            (Self::Text(builder), _) => builder.append_null(),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Boolean(mut builder) => Arc::new(builder.finish()),
            Self::Integer(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
        }
    }
}
