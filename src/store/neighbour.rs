//! The neighbours of the event catalog (seed 2): players, visits, rating slips, money, points and floor layouts, each the owner of its rows.
//!
//! Their rules are the law's (`workflows::{visit, rating_slip, finance, loyalty, floor_layout}`); here rows are locked, read and written, in the
//! order every command locks them: sessions, then visits, then rating slips; a player before what is booked on them.

mod floor_layout;
mod loyalty;
mod player;
mod rating_slip;
mod transaction;
mod visit;

use uuid::Uuid;
use workflows::case::{Context, MAX_TEXT};

pub use self::floor_layout::{
    Activation, DrawnVersion, KnownLayout, Layout, LayoutActivation, LayoutDrawing, Layouts, NewLayout, OneLayout,
};
pub use self::loyalty::{Booked, Loyalty, LoyaltyOf, NewPoints};
pub use self::player::{NewPlayer, Players};
pub use self::rating_slip::{KnownRatingSlip, NewRatingSlip, RatingSlipChange, RatingSlipClosing, RatingSlips};
pub use self::transaction::{NewTransaction, Transactions};
pub use self::visit::{NewVisit, Visits};

use super::Tx;
use super::setup::Changed;
use super::setup::form::Form;
use crate::error::Error;

/// One change of a neighbour's rows.
#[derive(Clone, Debug)]
pub enum Neighbour {
    AddPlayer(NewPlayer),
    StartVisit(NewVisit),
    ConvertVisit(Uuid),
    CloseVisit(Uuid),
    OpenRatingSlip(NewRatingSlip),
    ChangeRatingSlip {
        id: Uuid,
        change: RatingSlipChange,
    },
    CloseRatingSlip {
        id: Uuid,
        closing: RatingSlipClosing,
    },
    /// `key`: the request's own, where the body names none.
    RecordTransaction {
        new: NewTransaction,
        key: Option<String>,
    },
    AppendPoints(NewPoints),
    AddLayout(NewLayout),
    DrawLayout {
        layout_id: Uuid,
        drawing: LayoutDrawing,
    },
    ActivateLayout {
        layout_id: Uuid,
        ask: LayoutActivation,
        key: Option<String>,
    },
}

impl Tx {
    pub(super) async fn apply_neighbour(&self, context: &Context, neighbour: &Neighbour, if_match: Option<i64>) -> Result<Changed, Error> {
        match neighbour {
            Neighbour::AddPlayer(player) => self.add_player(context, player).await,
            Neighbour::StartVisit(visit) => self.start_visit(context, visit).await,
            Neighbour::ConvertVisit(id) => self.convert_visit(context, *id, if_match).await,
            Neighbour::CloseVisit(id) => self.close_visit(context, *id, if_match).await,
            Neighbour::OpenRatingSlip(slip) => self.open_rating_slip(context, slip).await,
            Neighbour::ChangeRatingSlip { id, change } => self.change_rating_slip(context, *id, change, if_match).await,
            Neighbour::CloseRatingSlip { id, closing } => self.close_rating_slip(context, *id, closing, if_match).await,
            Neighbour::RecordTransaction { new, key } => self.record_transaction(context, new, key.as_deref()).await,
            Neighbour::AppendPoints(points) => self.append_points(context, points).await,
            Neighbour::AddLayout(layout) => self.add_layout(context, layout).await,
            Neighbour::DrawLayout { layout_id, drawing } => self.draw_layout(context, *layout_id, drawing).await,
            Neighbour::ActivateLayout { layout_id, ask, key } => self.activate_layout(context, *layout_id, ask, key.as_deref()).await,
        }
    }
}

/// A remark, in as many lines as it needs.
fn note(form: &mut Form, given: Option<&str>) -> Option<String> {
    let text = given?;
    if text.chars().count() > MAX_TEXT {
        form.flaw("/note", format!("longer than {MAX_TEXT} characters"));
    }
    if text.contains('\0') {
        form.flaw("/note", "must not contain the character NUL");
    }
    Some(text.to_owned())
}

/// The longest key of a request that a fact keeps for ever: as long as an `Idempotency-Key`.
const MAX_KEY: usize = 200;

/// The key a fact keeps: the body's, or else the request's own. Keys of the two kinds are one series.
fn key(form: &mut Form, pointer: &str, given: Option<&str>, of_request: Option<&str>) -> String {
    let Some(key) = given.or(of_request) else {
        form.flaw(pointer, "must be given, here or as Idempotency-Key");
        return String::new();
    };
    if !(1..=MAX_KEY).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        form.flaw(pointer, format!("must be 1 to {MAX_KEY} visible ASCII characters"));
    }
    key.to_owned()
}
