//! People: roles and the departments that keep them apart (domain §3).

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantArray};
use utoipa::ToSchema;

/// What a person does. The casino and the role come from the staff row alone (domain §12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, VariantArray, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Never holds a token; named on documents, co-signs with a PIN.
    Dealer,
    PitBoss,
    Cashier,
    Security,
    CountTeam,
    Compliance,
    /// Set-up; may act for any role, but segregation by person still binds.
    Admin,
    /// The daemon itself: drives edges, signs nothing.
    System,
}

/// Where a person works: what the rules on runners and box removal look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Display, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Department {
    TableGames,
    Cage,
    Security,
    CountRoom,
    Compliance,
    Administration,
    Daemon,
}

impl Role {
    pub const fn department(self) -> Department {
        match self {
            Self::Dealer | Self::PitBoss => Department::TableGames,
            Self::Cashier => Department::Cage,
            Self::Security => Department::Security,
            Self::CountTeam => Department::CountRoom,
            Self::Compliance => Department::Compliance,
            Self::Admin => Department::Administration,
            Self::System => Department::Daemon,
        }
    }
}
