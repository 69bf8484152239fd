//! Drop boxes: made known once; where each one is, custody says from then on.

use entities::drop_box::Model;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::record::DropBox;
use workflows::word::BoxKind;

use super::form::{Form, MAX_LABEL};
use super::{Changed, Tx, dressed, one_more, page};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::list::{Page, Query, Window};

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDropBox {
    pub label: String,
    pub kind: BoxKind,
    /// The table a standard box belongs to; none for an emergency box.
    #[serde(default)]
    pub table_id: Option<Uuid>,
}

/// A box, and whether its present use is removed and not yet counted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KnownBox {
    #[serde(flatten)]
    pub drop_box: DropBox,
    pub in_custody: bool,
}

impl Tx {
    pub(super) async fn add_drop_box(&self, context: &Context, new: &NewDropBox) -> Result<Changed, Error> {
        let mut form = Form::default();
        let label = form.text("/label", &new.label, MAX_LABEL);
        match (new.kind, new.table_id) {
            (BoxKind::Standard, None) => form.flaw("/table_id", "a standard box belongs to a table"),
            (BoxKind::Emergency, Some(_)) => form.flaw("/table_id", "an emergency box belongs to no table"),
            (BoxKind::Standard, Some(_)) | (BoxKind::Emergency, None) => {}
        }
        form.judge()?;
        if let Some(table) = new.table_id {
            self.expect_table(context, table).await?;
        }
        let row = Model {
            id: (context.new_id)(),
            casino_id: context.casino.id,
            label,
            table_id: new.table_id,
            kind: new.kind.to_string(),
            on_table_id: None,
            use_no: 1,
            version: 1,
            created_at: context.at,
        };
        let known = KnownBox {
            drop_box: dressed(&self.insert(row).await?)?,
            in_custody: false,
        };
        Ok(Changed::created(
            "drop_box.create",
            "drop_box",
            Answer::created(&known).version(known.drop_box.version),
        ))
    }
}

/// `GET /drop-boxes`.
#[derive(Clone, Debug)]
pub struct DropBoxes {
    pub window: Window,
    pub table_id: Option<Uuid>,
    pub kind: Option<BoxKind>,
}

impl Query for DropBoxes {
    type Answer = Page<KnownBox>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page<KnownBox>, Error> {
        const KNOWN_BOXES: &str = "
            SELECT COALESCE(jsonb_agg(known.row ORDER BY known.id), '[]') AS json
              FROM (SELECT b.id, box_with_custody(b) AS row FROM drop_box AS b
                     WHERE b.casino_id = $1
                       AND ($2::uuid IS NULL OR b.id > $2)
                       AND ($3::uuid IS NULL OR b.table_id = $3)
                       AND ($4::text IS NULL OR b.kind = $4)
                     ORDER BY b.id LIMIT $5) AS known";
        let values = [
            context.casino.id.into(),
            self.window.after.into(),
            self.table_id.into(),
            self.kind.map(|kind| kind.to_string()).into(),
            one_more(self.window).into(),
        ];
        let boxes: Vec<KnownBox> = tx.json(KNOWN_BOXES, values).await?;
        Ok(page(boxes, self.window, |known| known.drop_box.id))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_box_always_says_whether_it_is_in_custody() {
        for in_custody in [true, false] {
            let row = json!({
                "id": Uuid::nil(), "casino_id": Uuid::nil(), "label": "BJ-01-A", "table_id": null, "kind": "emergency", "on_table_id": null,
                "use_no": 1, "in_custody": in_custody, "version": 1, "created_at": "2026-03-06T06:00:00+00:00",
            });
            let known: KnownBox = serde_json::from_value(row).unwrap();
            let told = serde_json::to_string(&known).unwrap();
            assert_eq!(told.matches("in_custody").count(), 1, "{told}");
            assert!(
                told.contains(&format!(r#""in_custody":{in_custody}"#)) && told.contains("06:00:00Z"),
                "{told}"
            );
        }
    }
}
