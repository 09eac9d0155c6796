//! Event selectors: which management events a trail keeps.
//!
//! In: what GetEventSelectors answers (also as the JSON that `aws cloudtrail get-event-selectors` prints). Out: for a probe event,
//! [`Kept`]; and the selectors that would keep everything.
//!
//! An event is kept if any selector takes it; an advanced selector takes it if all its fields do. Within a field, `Equals`,
//! `StartsWith` and `EndsWith` are joined by or, the `Not…` by and, and the two groups by and
//! (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/filtering-data-events.html>). A field that differs from event to
//! event (who called, say) keeps some.

use aws_sdk_cloudtrail::{operation::get_event_selectors::GetEventSelectorsOutput, types};
use serde::{Deserialize, Serialize};

const MANAGEMENT: &str = "Management";

/// How many of the probed events a trail keeps. The order is that of keeping more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    Nothing,
    Some,
    All,
}

/// A trail has selectors of one of the two kinds; with none of either, it keeps every management event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Selectors {
    #[serde(rename = "EventSelectors", skip_serializing_if = "Vec::is_empty")]
    pub basic: Vec<BasicSelector>,
    #[serde(rename = "AdvancedEventSelectors", skip_serializing_if = "Vec::is_empty")]
    pub advanced: Vec<AdvancedSelector>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BasicSelector {
    /// `All` where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_write_type: Option<String>,
    /// True where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_management_events: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_resources: Vec<DataResource>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_management_event_sources: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DataResource {
    #[serde(rename = "Type")]
    pub kind: String,
    pub values: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AdvancedSelector {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub field_selectors: Vec<FieldSelector>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FieldSelector {
    pub field: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub equals: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub starts_with: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ends_with: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_equals: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_starts_with: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_ends_with: Vec<String>,
}

/// A management event that somebody's selectors may drop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) source: &'static str,
    pub(super) name: &'static str,
    pub(super) is_read: bool,
}

impl Selectors {
    /// How many of the probes are kept, all together.
    pub(super) fn keep(&self, probes: &[Probe]) -> Kept {
        let kept: Vec<Kept> = probes.iter().map(|probe| self.keep_one(probe)).collect();
        match (kept.iter().min(), kept.iter().max()) {
            (Some(least), Some(most)) if least == most => *least,
            (None, _) | (_, None) => Kept::All,
            _ => Kept::Some,
        }
    }

    fn keep_one(&self, probe: &Probe) -> Kept {
        if self.basic.is_empty() && self.advanced.is_empty() {
            return Kept::All;
        }
        let basic = self.basic.iter().map(|selector| selector.keep(probe));
        let advanced = self.advanced.iter().map(|selector| selector.keep(probe));
        basic.chain(advanced).max().unwrap_or(Kept::Nothing)
    }

    /// The same selectors, changed so that every management event is kept; those for other events stay.
    pub fn mended(&self) -> Self {
        if self.advanced.is_empty() {
            let mut basic = self.basic.clone();
            if basic.is_empty() {
                basic.push(BasicSelector::default());
            }
            for selector in &mut basic {
                // One selector's read and write setting is for its data events too: it is widened, never narrowed.
                selector.read_write_type = Some("All".to_owned());
                selector.include_management_events = Some(true);
                selector.exclude_management_event_sources.clear();
            }
            return Self { basic, advanced: Vec::new() };
        }
        let all = AdvancedSelector {
            name: Some("All management events".to_owned()),
            field_selectors: vec![FieldSelector {
                field: "eventCategory".to_owned(),
                equals: vec![MANAGEMENT.to_owned()],
                ..FieldSelector::default()
            }],
        };
        let others = self.advanced.iter().filter(|selector| !selector.is_management()).cloned();
        Self { basic: Vec::new(), advanced: std::iter::once(all).chain(others).collect() }
    }
}

impl BasicSelector {
    fn keep(&self, probe: &Probe) -> Kept {
        let takes = match self.read_write_type.as_deref() {
            None | Some("All") => true,
            Some("ReadOnly") => probe.is_read,
            Some(_) => !probe.is_read,
        };
        let excluded = self.exclude_management_event_sources.iter().any(|source| source == probe.source);
        if self.include_management_events.unwrap_or(true) && takes && !excluded { Kept::All } else { Kept::Nothing }
    }
}

impl AdvancedSelector {
    fn keep(&self, probe: &Probe) -> Kept {
        self.field_selectors.iter().map(|field| field.keep(probe)).min().unwrap_or(Kept::Nothing)
    }

    fn is_management(&self) -> bool {
        self.field_selectors
            .iter()
            .any(|field| field.field == "eventCategory" && field.equals.iter().any(|value| value == MANAGEMENT))
    }
}

impl FieldSelector {
    fn keep(&self, probe: &Probe) -> Kept {
        let value = match self.field.as_str() {
            "eventCategory" => MANAGEMENT,
            "readOnly" => {
                if probe.is_read {
                    "true"
                } else {
                    "false"
                }
            }
            "eventSource" => probe.source,
            "eventName" => probe.name,
            "eventType" => "AwsApiCall",
            _ => return Kept::Some,
        };
        let selects = self.equals.is_empty() && self.starts_with.is_empty() && self.ends_with.is_empty()
            || self.equals.iter().any(|wanted| value == wanted)
            || self.starts_with.iter().any(|start| value.starts_with(start))
            || self.ends_with.iter().any(|end| value.ends_with(end));
        let deselects = self.not_equals.iter().any(|unwanted| value == unwanted)
            || self.not_starts_with.iter().any(|start| value.starts_with(start))
            || self.not_ends_with.iter().any(|end| value.ends_with(end));
        if selects && !deselects { Kept::All } else { Kept::Nothing }
    }
}

impl From<GetEventSelectorsOutput> for Selectors {
    fn from(answer: GetEventSelectorsOutput) -> Self {
        Self {
            basic: answer.event_selectors.unwrap_or_default().into_iter().map(BasicSelector::from).collect(),
            advanced: answer
                .advanced_event_selectors
                .unwrap_or_default()
                .into_iter()
                .map(AdvancedSelector::from)
                .collect(),
        }
    }
}

impl From<types::EventSelector> for BasicSelector {
    fn from(selector: types::EventSelector) -> Self {
        let resource = |resource: types::DataResource| DataResource {
            kind: resource.r#type.unwrap_or_default(),
            values: resource.values.unwrap_or_default(),
        };
        Self {
            read_write_type: selector.read_write_type.map(|kind| kind.as_str().to_owned()),
            include_management_events: selector.include_management_events,
            data_resources: selector.data_resources.unwrap_or_default().into_iter().map(resource).collect(),
            exclude_management_event_sources: selector.exclude_management_event_sources.unwrap_or_default(),
        }
    }
}

impl From<types::AdvancedEventSelector> for AdvancedSelector {
    fn from(selector: types::AdvancedEventSelector) -> Self {
        let field = |field: types::AdvancedFieldSelector| FieldSelector {
            field: field.field,
            equals: field.equals.unwrap_or_default(),
            starts_with: field.starts_with.unwrap_or_default(),
            ends_with: field.ends_with.unwrap_or_default(),
            not_equals: field.not_equals.unwrap_or_default(),
            not_starts_with: field.not_starts_with.unwrap_or_default(),
            not_ends_with: field.not_ends_with.unwrap_or_default(),
        };
        Self { name: selector.name, field_selectors: selector.field_selectors.into_iter().map(field).collect() }
    }
}
