//! `table_slip`: a fill or a credit.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "table_slip")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub casino_id: Uuid,
    pub session_id: Uuid,
    pub table_id: Uuid,
    pub kind: String,
    pub purpose: String,
    pub request_id: String,
    pub status: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub chipset: Json,
    pub amount_cents: i64,
    pub note: Option<String>,
    pub replaces_slip_id: Option<Uuid>,
    pub slip_scope: Option<String>,
    pub scope_key: Option<String>,
    pub slip_no: Option<i64>,
    pub requested_by: Uuid,
    pub requested_at: DateTimeUtc,
    pub issued_by: Option<Uuid>,
    pub issued_at: Option<DateTimeUtc>,
    pub runner_id: Option<Uuid>,
    pub dealer_id: Option<Uuid>,
    pub verified_by: Option<Uuid>,
    pub verified_at: Option<DateTimeUtc>,
    #[sea_orm(column_type = "JsonBinary")]
    pub confirmed_chipset: Option<Json>,
    pub confirmed_amount_cents: Option<i64>,
    pub confirmed_note: Option<String>,
    pub cage_received_by: Option<Uuid>,
    pub cage_received_at: Option<DateTimeUtc>,
    pub cage_amount_cents: Option<i64>,
    pub deposited_by: Option<Uuid>,
    pub deposited_at: Option<DateTimeUtc>,
    pub drop_box_id: Option<Uuid>,
    pub drop_box_use: Option<i64>,
    pub voided_by: Option<Uuid>,
    pub voided_at: Option<DateTimeUtc>,
    pub void_cosigned_by: Option<Uuid>,
    pub void_reason: Option<String>,
    pub voided_from: Option<String>,
    pub cancelled_by: Option<Uuid>,
    pub cancelled_at: Option<DateTimeUtc>,
    pub cancel_reason: Option<String>,
    pub captured_offline: bool,
    pub entered_by: Option<Uuid>,
    pub entered_at: Option<DateTimeUtc>,
    pub version: i64,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
