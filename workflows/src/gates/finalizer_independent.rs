//! Who finalizes signed neither the closer nor a count of the session (domain §4).

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::dossier::Dossier;
use crate::machine::{Gate, Scene, Verdict};
use crate::role::Role;
use crate::word::SnapshotKind;

pub const GATE: Gate = Gate {
    code: "finalizer_independent",
    needs: "somebody who signed neither closer nor count must finalize",
    who: &[Role::Compliance, Role::Admin],
    personal: true,
    check,
};

fn check(scene: &Scene<'_>) -> Verdict {
    match scene.by {
        Some(by) if parties(scene.dossier).contains(&by.id) => Err(format!(
            "{} ({}) signed the closer or a count of this session",
            by.name, by.employee_no
        )),
        Some(_) | None => Ok("the finalizer signed neither closer nor count".to_owned()),
    }
}

/// Everybody who signed a closer or a count, or was on a count team.
fn parties(dossier: &Dossier) -> BTreeSet<Uuid> {
    let closers = dossier.snapshots.iter().filter(|snapshot| snapshot.kind == SnapshotKind::Close);
    let mut parties: BTreeSet<Uuid> = closers
        .flat_map(|snapshot| [Some(snapshot.counted_by), snapshot.verified_by])
        .flatten()
        .collect();
    for count in &dossier.counts {
        parties.insert(count.counted_by);
        parties.extend(&count.team);
    }
    parties
}
