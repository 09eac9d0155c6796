//! `reader_class`: what the configuration says of a reader.
//!
//! In: a principal's id and, from the session's settings, the globs of `[readers]`. Out: the class (`upkeep`,
//! `sync_agent`) of the first glob that matches, or null. A function rather than a join, so that asking costs nothing
//! where no class is configured.

use std::{hash, sync::Arc};

use deltalake::{
    arrow::datatypes::DataType,
    datafusion::{
        common::Result,
        logical_expr::{ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
    },
};

use super::{
    glob::glob_match,
    text::{self, Answer, Function, Kernel, Returns},
};

pub(super) static READER_CLASS: Function = Function {
    name: "reader_class",
    arguments: &[("principal_id", "a principal")],
    returns: Returns::Text,
    description: "The class that the configuration's `[readers]` gives to a principal: `upkeep` (never makes a secret used) or `sync_agent` \
                  (copies it elsewhere). Null when no pattern matches; patterns are tried in the order of the table `reader_classes`.",
    examples: &[("reader_class('arn:aws:iam::111122223333:role/nobody-configured-this')", "NULL")],
    takes_nulls: false,
    kernel: || Box::new(|_| Ok(Answer::Null)),
};

/// The globs of `[readers]`, each with its class, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ReaderClasses(Arc<[(String, String)]>);

impl ReaderClasses {
    pub fn new(classes: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(classes.into_iter().collect())
    }

    /// The class of the first pattern that matches.
    pub fn class_of(&self, principal_id: &str) -> Option<&str> {
        self.0.iter().find(|(pattern, _)| glob_match(pattern, principal_id)).map(|(_, class)| class.as_str())
    }
}

#[derive(Debug)]
pub(super) struct ReaderClassUdf {
    classes: ReaderClasses,
    signature: Signature,
    documentation: Documentation,
}

impl ReaderClassUdf {
    pub(super) fn new(classes: ReaderClasses) -> Self {
        Self {
            classes,
            signature: Signature::string(1, Volatility::Immutable),
            documentation: READER_CLASS.documentation(),
        }
    }
}

impl PartialEq for ReaderClassUdf {
    fn eq(&self, other: &Self) -> bool {
        self.classes == other.classes
    }
}

impl Eq for ReaderClassUdf {}

impl hash::Hash for ReaderClassUdf {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.classes.hash(state);
    }
}

impl ScalarUDFImpl for ReaderClassUdf {
    fn name(&self) -> &str {
        READER_CLASS.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(READER_CLASS.returns.data_type())
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let classes = self.classes.clone();
        let kernel: Kernel = Box::new(move |texts| {
            let class = texts.first().and_then(|principal| classes.class_of(principal));
            Ok(class.map_or(Answer::Null, |class| Answer::Text(class.to_owned())))
        });
        text::apply(&READER_CLASS, kernel, &args)
    }
}
