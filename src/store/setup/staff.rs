//! People: who may act, in which role, and the PIN they co-sign with.

use chrono::{DateTime, Utc};
use entities::staff::{Column, Entity, Model};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use workflows::case::Context;
use workflows::refusal::Refusal;
use workflows::role::Role;
use workflows::word::StaffStatus;

use super::form::{Form, MAX_LABEL, MAX_NAME, given};
use super::{Changed, Tx, dressed, expect_version, json_of, one_more, page};
use crate::answer::Answer;
use crate::error::Error;
use crate::store::fault::Fault;
use crate::store::list::{Page, Query, Window};

/// The longest subject a token may carry here, in characters.
const MAX_SUBJECT: usize = 255;

/// Somebody new, without the PIN: that stays with the handler, and only its hash comes here.
#[derive(Clone, Debug)]
pub struct NewStaff {
    pub employee_no: String,
    pub name: String,
    pub role: Role,
    /// The token's subject; `<casino name>:<employee_no>` unless given.
    pub external_subject: Option<String>,
}

/// What may change of a person; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StaffChange {
    #[serde(default, deserialize_with = "given")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub role: Option<Role>,
    #[serde(default, deserialize_with = "given")]
    pub status: Option<StaffStatus>,
    #[serde(default, deserialize_with = "given")]
    pub external_subject: Option<String>,
}

/// The argon2 hash of a PIN. It is a secret too, because a PIN has few digits: it goes into its column and nowhere else.
#[derive(Clone)]
pub struct PinHash(pub String);

impl std::fmt::Debug for PinHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PinHash(…)")
    }
}

/// A member of staff, as colleagues may see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Person {
    pub id: Uuid,
    pub employee_no: String,
    pub name: String,
    pub role: Role,
    pub status: StaffStatus,
    pub has_pin: bool,
    pub version: i64,
    /// For admins alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_subject: Option<String>,
    /// For admins alone. After five wrong PINs; null, or in the past: not locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub pin_locked_until: Option<Option<DateTime<Utc>>>,
}

impl Tx {
    pub(super) async fn add_staff(&self, context: &Context, new: &NewStaff, pin: Option<&PinHash>) -> Result<Changed, Error> {
        let mut form = Form::default();
        let employee_no = form.text("/employee_no", &new.employee_no, MAX_LABEL);
        let name = form.text("/name", &new.name, MAX_NAME);
        judge_role(&mut form, new.role);
        let subject = new
            .external_subject
            .clone()
            .unwrap_or_else(|| format!("{}:{employee_no}", context.casino.name));
        let external_subject = form.text("/external_subject", &subject, MAX_SUBJECT);
        form.judge()?;
        self.expect_free_number(context, &employee_no).await?;
        let row = Model {
            id: (context.new_id)(),
            casino_id: context.casino.id,
            external_subject,
            employee_no,
            name,
            role: new.role.to_string(),
            status: StaffStatus::Active.to_string(),
            pin_hash: pin.map(|hash| hash.0.clone()),
            failed_pins: 0,
            pin_locked_until: None,
            version: 1,
            created_at: context.at,
        };
        let person = whole(&self.insert(row).await?)?;
        Ok(Changed::created(
            "staff.create",
            "staff",
            Answer::created(&person).version(person.version),
        ))
    }

    /// The constraint would refuse too; but a subject made of the number would be refused first, and under a name nobody chose.
    async fn expect_free_number(&self, context: &Context, employee_no: &str) -> Result<(), Error> {
        let same = Entity::find()
            .filter(Column::CasinoId.eq(context.casino.id))
            .filter(Column::EmployeeNo.eq(employee_no));
        match same.one(self.connection()).await.map_err(Fault::from)? {
            Some(person) => Err(Refusal::conflict("employee_no_taken", format!("{employee_no} is {}", person.name)).into()),
            None => Ok(()),
        }
    }

    pub(super) async fn change_staff(
        &self,
        context: &Context,
        id: Uuid,
        change: &StaffChange,
        if_match: Option<i64>,
    ) -> Result<Changed, Error> {
        let (old, admins) = self.lock_with_admins(context, id).await?;
        expect_version(if_match, old.version)?;
        let mut form = Form::default();
        let mut new = old.clone();
        if let Some(name) = &change.name {
            new.name = form.text("/name", name, MAX_NAME);
        }
        if let Some(role) = change.role {
            judge_role(&mut form, role);
            new.role = role.to_string();
        }
        if let Some(status) = change.status {
            new.status = status.to_string();
        }
        if let Some(subject) = &change.external_subject {
            new.external_subject = form.text("/external_subject", subject, MAX_SUBJECT);
        }
        form.judge()?;
        expect_an_admin_left(&old, &new, &admins)?;
        self.write_staff("staff.change", old, new).await
    }

    /// Another PIN. Wrong guesses at the old one are forgotten with it, and so is the lock they led to.
    pub(super) async fn set_pin(&self, context: &Context, id: Uuid, pin: &PinHash, if_match: Option<i64>) -> Result<Changed, Error> {
        let (old, _) = self.lock_with_admins(context, id).await?;
        expect_version(if_match, old.version)?;
        let new = Model {
            pin_hash: Some(pin.0.clone()),
            failed_pins: 0,
            pin_locked_until: None,
            ..old.clone()
        };
        self.write_staff("staff.set_pin", old, new).await
    }

    async fn write_staff(&self, action: &'static str, old: Model, mut new: Model) -> Result<Changed, Error> {
        let before = json_of(&whole(&old)?)?;
        if new != old {
            new.version += 1;
            new = self.replace(old, &new).await?;
        }
        let person = whole(&new)?;
        Ok(Changed::updated(
            action,
            "staff",
            &before,
            Answer::ok(&person).version(person.version),
        ))
    }

    /// The person, and everybody who is an active admin: locked in one statement and in id order, so that two admins who dismiss each other
    /// at the same moment are judged one after the other.
    async fn lock_with_admins(&self, context: &Context, id: Uuid) -> Result<(Model, Vec<Model>), Error> {
        let admins = Condition::all()
            .add(Column::Role.eq(Role::Admin.to_string()))
            .add(Column::Status.eq(StaffStatus::Active.to_string()));
        let wanted = Condition::any().add(Column::Id.eq(id)).add(admins);
        let rows = Entity::find()
            .filter(Column::CasinoId.eq(context.casino.id))
            .filter(wanted)
            .order_by_asc(Column::Id);
        let rows = rows.lock(LockType::NoKeyUpdate).all(self.connection()).await.map_err(Fault::from)?;
        let person = rows.iter().find(|row| row.id == id).cloned().ok_or(Refusal::NotFound("staff"))?;
        if person.role == Role::System.to_string() {
            return Err(Refusal::conflict("system_principal", "this is the daemon itself, not a person: nothing of it changes").into());
        }
        Ok((person, rows.into_iter().filter(is_active_admin).collect()))
    }
}

fn is_active_admin(person: &Model) -> bool {
    person.role == Role::Admin.to_string() && person.status == StaffStatus::Active.to_string()
}

/// Without an admin nobody could ever make another one.
fn expect_an_admin_left(old: &Model, new: &Model, admins: &[Model]) -> Result<(), Refusal> {
    let others = admins.iter().any(|admin| admin.id != old.id);
    if is_active_admin(old) && !is_active_admin(new) && !others {
        return Err(Refusal::conflict(
            "last_admin",
            format!("{} is the casino's last active admin", old.name),
        ));
    }
    Ok(())
}

fn judge_role(form: &mut Form, role: Role) {
    if role == Role::System {
        form.flaw("/role", "system is the daemon itself, no person");
    }
}

/// A person as an admin sees them.
fn whole(row: &Model) -> Result<Person, Error> {
    let known: workflows::record::Staff = dressed(row)?;
    Ok(Person {
        id: known.id,
        employee_no: known.employee_no,
        name: known.name,
        role: known.role,
        status: known.status,
        has_pin: row.pin_hash.is_some(),
        version: row.version,
        external_subject: Some(row.external_subject.clone()),
        pin_locked_until: Some(row.pin_locked_until),
    })
}

/// A person as `reader` may see them.
fn shown(row: &Model, reader: Role) -> Result<Person, Error> {
    let person = whole(row)?;
    if reader == Role::Admin {
        return Ok(person);
    }
    Ok(Person {
        external_subject: None,
        pin_locked_until: None,
        ..person
    })
}

/// `GET /staff`.
#[derive(Clone, Debug)]
pub struct People {
    pub window: Window,
    pub role: Option<Role>,
    pub status: Option<StaffStatus>,
}

impl Query for People {
    type Answer = Page<Person>;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Page<Person>, Error> {
        let rows = Entity::find()
            .filter(Column::CasinoId.eq(context.casino.id))
            .apply_if(self.role, |rows, role| rows.filter(Column::Role.eq(role.to_string())))
            .apply_if(self.status, |rows, status| rows.filter(Column::Status.eq(status.to_string())))
            .apply_if(self.window.after, |rows, after| rows.filter(Column::Id.gt(after)))
            .order_by_asc(Column::Id)
            .limit(one_more(self.window).unsigned_abs());
        let rows = rows.all(tx.connection()).await.map_err(Fault::from)?;
        let people = rows.iter().map(|row| shown(row, context.caller.role)).collect::<Result<_, _>>()?;
        Ok(page(people, self.window, |person: &Person| person.id))
    }
}

/// `GET /me`: the caller's own row.
pub struct Me;

impl Query for Me {
    type Answer = Person;

    async fn fetch(&self, tx: &Tx, context: &Context) -> Result<Person, Error> {
        let row = Entity::find_by_id(context.caller.id)
            .one(tx.connection())
            .await
            .map_err(Fault::from)?
            .ok_or(Refusal::NotFound("staff"))?;
        shown(&row, context.caller.role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(id: u128, role: Role) -> Model {
        Model {
            id: Uuid::from_u128(id),
            casino_id: Uuid::nil(),
            external_subject: format!("River Bend:{id}"),
            employee_no: id.to_string(),
            name: "Alder".to_owned(),
            role: role.to_string(),
            status: StaffStatus::Active.to_string(),
            pin_hash: Some("$argon2id$secret".to_owned()),
            failed_pins: 3,
            pin_locked_until: None,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_last_admin_stays_one() {
        let (alone, other) = (person(1, Role::Admin), person(2, Role::Admin));
        let demoted = Model {
            role: Role::PitBoss.to_string(),
            ..alone.clone()
        };
        let dismissed = Model {
            status: StaffStatus::Inactive.to_string(),
            ..alone.clone()
        };
        let only = [alone.clone()];
        assert!(expect_an_admin_left(&alone, &demoted, &only).is_err());
        assert!(expect_an_admin_left(&alone, &dismissed, &only).is_err());
        assert!(expect_an_admin_left(&alone, &alone, &only).is_ok());
        assert!(expect_an_admin_left(&alone, &demoted, &[alone.clone(), other]).is_ok());
    }

    #[test]
    fn colleagues_see_no_subject_and_nobody_sees_a_hash() {
        let seen = |reader| serde_json::to_string(&shown(&person(1, Role::PitBoss), reader).unwrap()).unwrap();
        assert!(!seen(Role::Cashier).contains("external_subject") && !seen(Role::Cashier).contains("pin_locked_until"));
        assert!(seen(Role::Admin).contains("external_subject") && seen(Role::Admin).contains("pin_locked_until"));
        for reader in [Role::Cashier, Role::Admin] {
            assert!(seen(reader).contains(r#""has_pin":true"#), "{}", seen(reader));
            assert!(
                !seen(reader).contains("argon2id") && !seen(reader).contains("failed_pins"),
                "{}",
                seen(reader)
            );
        }
    }
}
