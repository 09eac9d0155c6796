//! What is in quarantine and still unresolved, as values: what `keytrail quarantine` lists and reads again.
//!
//! In: the view `quarantine`. Out: one [`Trouble`] for each record or whole object, those longest in trouble first. The
//! number is capped by the caller, because whoever writes to the bucket decides how many there are.

use deltalake::arrow::array::Array;
use futures::StreamExt;
use keytrail_model::{Micros, ObjectId};

use crate::{
    encode::{Texts, integers, moments},
    error::{At, LakeError},
    lake::Lake,
    schema::TableName,
    session::SessionSettings,
};

/// Something that could not be understood, and still is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which bytes. An empty version: nobody could tell.
    pub object: ObjectId,
    /// Position of the record in the object; `None` for the whole object.
    pub record_index: Option<i64>,
    /// What is wrong and where.
    pub reason: String,
    /// When the object was first found in trouble.
    pub since: Micros,
    /// How often the object was read in vain.
    pub attempts: u64,
    /// What the content was.
    pub content_kind: String,
    /// The account and region in the key, where it carries them.
    pub account_id: Option<String>,
    pub region: Option<String>,
    pub delivered_at: Option<Micros>,
    /// Where the record stands in the decompressed object.
    pub byte_offset: i64,
    pub byte_length: i64,
}

impl Lake {
    /// What is in quarantine now, at most so many.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn troubles(&self, most: usize) -> Result<Vec<Trouble>, LakeError> {
        let place = TableName::Quarantine;
        self.project().await?;
        let settings = SessionSettings { prefer_hash_join: true, ..SessionSettings::default() };
        let rows = self
            .session(&settings)
            .await?
            .sql(
                "SELECT object_key, object_version, record_index, reason, since, attempts, content_kind, account_id, \
                 region, delivered_at, byte_offset, byte_length \
                 FROM quarantine ORDER BY since, object_key, object_version, record_index",
            )
            .await
            .at(place)?;
        let mut rows = rows.limit(0, Some(most)).at(place)?.execute_stream().await.at(place)?;
        let mut troubles = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch.at(place)?;
            let text = |name| Texts::of(&batch, name);
            let (keys, versions, reasons) = (text("object_key")?, text("object_version")?, text("reason")?);
            let (kinds, accounts, regions) = (text("content_kind")?, text("account_id")?, text("region")?);
            let number = |name| integers(&batch, name);
            let (indices, attempts) = (number("record_index")?, number("attempts")?);
            let (offsets, lengths) = (number("byte_offset")?, number("byte_length")?);
            let (since, delivered) = (moments(&batch, "since")?, moments(&batch, "delivered_at")?);
            for row in 0..batch.num_rows() {
                let owned = |texts: &Texts| texts.maybe(row).map(str::to_owned);
                troubles.push(Trouble {
                    object: ObjectId { key: keys.always(row)?.to_owned(), version: versions.always(row)?.to_owned() },
                    record_index: Some(indices.value(row)).filter(|index| *index >= 0),
                    reason: reasons.always(row)?.to_owned(),
                    since: since.value(row),
                    attempts: u64::try_from(attempts.value(row)).unwrap_or_default(),
                    content_kind: kinds.always(row)?.to_owned(),
                    account_id: owned(&accounts),
                    region: owned(&regions),
                    delivered_at: delivered.is_valid(row).then(|| delivered.value(row)),
                    byte_offset: offsets.value(row),
                    byte_length: lengths.value(row),
                });
            }
        }
        Ok(troubles)
    }
}
