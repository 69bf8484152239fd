//! `rundown audit`: takes the sealed audit log out of the program, and holds it against its seals, in a file or where it stands. A file is
//! verified without database, configuration or daemon: with nothing but itself and what one knows of the key.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use chrono::SecondsFormat;
use clap::{Args, Subcommand};
use uuid::Uuid;
use workflows::seal::export::{FORMAT, Header, Reader, Summary, Writer};
use workflows::seal::{Batch, Break, Chain, Link, lost, stray};

use super::{Place, say, token, with_database};
use crate::auth::seal_key::SealKey;
use crate::clock::Clock;
use crate::config::Config;
use crate::database::{Database, Errand, Owner};

/// A line longer than this is no line of an export: a row is bounded by what a request may bring, many times over.
const MOST_LINE_BYTES: u64 = 64 << 20;
/// What is told of breaks one by one.
const MOST_TOLD: usize = 1000;

/// Export or verify the sealed audit log.
#[derive(Clone, Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Write sealed audit rows with their seals, as lines of JSON (docs/audit-format.md).
    Export {
        /// The casino's name; needed where there are several.
        #[arg(long, value_name = "NAME")]
        casino: Option<String>,
        /// The first seal.
        #[arg(long, value_name = "NO", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
        from_seal: i64,
        /// The last seal [default: the newest].
        #[arg(long, value_name = "NO")]
        to_seal: Option<i64>,
        /// Where to write it; it must not exist yet [default: stdout].
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Hold an export against its seals, or without one the log where it stands; name what was changed, dropped or put in.
    Verify {
        /// The export.
        file: Option<PathBuf>,
        /// The casino's name, for the log where it stands; needed where there are several.
        #[arg(long, value_name = "NAME", conflicts_with = "file")]
        casino: Option<String>,
        /// A key to be believed, 64 hexadecimal digits; may be given again. Without one each seal is held against the key it names.
        #[arg(long, value_name = "HEX")]
        key: Vec<String>,
        /// The root the last seal must have, as it was noted elsewhere.
        #[arg(long, value_name = "HEX")]
        root: Option<String>,
    },
    /// Print the public key this installation seals with.
    Key,
}

pub async fn run(args: &AuditArgs, place: &Place) -> Result<ExitCode> {
    match &args.what {
        What::Verify {
            file: Some(file),
            key,
            root,
            ..
        } => verify_file(file, key, root.as_deref()),
        What::Verify { casino, key, root, .. } => {
            let verdict = with_database(&place.errand()?, async |database| verify(database, casino.as_deref(), key).await).await?;
            Ok(verdict.told(root.as_deref()))
        }
        What::Export {
            casino,
            from_seal,
            to_seal,
            out,
        } => {
            let config = place.errand()?;
            let wanted = Wanted {
                casino: casino.as_deref(),
                from: *from_seal,
                to: *to_seal,
            };
            with_database(&config, async |database| export(database, &wanted, out.as_deref()).await).await?;
            Ok(ExitCode::SUCCESS)
        }
        What::Key => key(&place.errand()?),
    }
}

fn key(config: &Config) -> Result<ExitCode> {
    let place = config.audit.key_place(config.database.url.is_none().then_some(&config.data_dir));
    let key = SealKey::look(&place)?.context(SealKey::MISSING)?;
    say(key.public());
    Ok(ExitCode::SUCCESS)
}

// ---- out of the database

struct Wanted<'a> {
    casino: Option<&'a str>,
    from: i64,
    to: Option<i64>,
}

const LAST: &str = "SELECT to_jsonb(COALESCE(max(s.seal_no), 0)) AS json FROM audit_seal AS s WHERE s.casino_id = ($1->>0)::uuid";

const ROOT: &str = "
    SELECT (SELECT to_jsonb(s.root) FROM audit_seal AS s WHERE s.casino_id = ($1->>0)::uuid AND s.seal_no = ($1->>1)::bigint) AS json";

const NEXT: &str = "SELECT audit_batches(($1->>0)::uuid, ($1->>1)::bigint, 1) AS json";

async fn export(database: &Database, wanted: &Wanted<'_>, out: Option<&Path>) -> Result<()> {
    let owner = database.owner().await?;
    let errand = owner.begin().await?;
    let casino = one_casino(&errand, wanted.casino).await?;
    let newest: i64 = errand.json(LAST, &[casino.id]).await?;
    let to = wanted.to.unwrap_or(newest);
    ensure!(to <= newest, "there is no seal {to}: the newest is {newest}");
    ensure!(wanted.from <= to + 1, "there is no seal {}: the newest is {newest}", wanted.from);
    let before = link(&errand, casino.id, wanted.from - 1).await?;
    errand.commit().await?;
    let header = Header {
        format: FORMAT.to_owned(),
        casino_id: casino.id,
        casino: casino.name,
        exported_at: Clock::System.now().to_rfc3339_opts(SecondsFormat::Micros, true),
        from_seal: wanted.from,
        to_seal: to,
        previous_root: before.root,
    };
    let mut sink: Box<dyn Write> = match out {
        Some(path) => {
            let made = File::create_new(path).with_context(|| format!("cannot make {}", path.display()))?;
            Box::new(BufWriter::new(made))
        }
        None => Box::new(BufWriter::new(io::stdout().lock())),
    };
    let (mut lines, first) = Writer::begin(header);
    sink.write_all(first.as_bytes())?;
    let mut after = wanted.from - 1;
    while let Some(batch) = next(&owner, casino.id, after).await?.filter(|batch| batch.seal.seal_no <= to) {
        after = batch.seal.seal_no;
        sink.write_all(lines.batch(batch).as_bytes())?;
    }
    sink.write_all(lines.end().as_bytes())?;
    sink.flush()?;
    owner.close().await
}

async fn one_casino(errand: &Errand, named: Option<&str>) -> Result<token::Casino> {
    let mut found = token::casinos(errand, named).await?;
    let all = found
        .iter()
        .map(|casino| format!("{:?}", casino.name))
        .collect::<Vec<_>>()
        .join(", ");
    ensure!(found.len() < 2, "there are {all}: choose with --casino");
    let Some(casino) = found.pop() else {
        bail!("there is no casino");
    };
    errand.stand_in(casino.id).await?;
    Ok(casino)
}

/// The end of the chain as it was at this seal.
async fn link(errand: &Errand, casino: Uuid, seal_no: i64) -> Result<Link> {
    if seal_no == 0 {
        return Ok(Link::origin());
    }
    let root: Option<String> = errand.json(ROOT, &(casino, seal_no)).await?;
    Ok(Link {
        seal_no,
        root: root.with_context(|| format!("there is no seal {seal_no}"))?,
    })
}

/// In a transaction of its own: between two batches somebody may read what was written, slowly, and Postgres ends a transaction that idles.
/// Nothing is lost by it: what is sealed does not change.
async fn next(owner: &Owner, casino: Uuid, after: i64) -> Result<Option<Batch>> {
    let errand = owner.begin().await?;
    errand.stand_in(casino).await?;
    let batches: Vec<Batch> = errand.json(NEXT, &(casino, after)).await?;
    errand.commit().await?;
    Ok(batches.into_iter().next())
}

const STRAYS: &str = "SELECT audit_strays(($1->>0)::uuid, 0, NULL, 1000) AS json";

const LOST: &str = "SELECT audit_waiting(($1->>0)::uuid, 1000)->'gone' AS json";

/// All seals of a casino against its log.
async fn verify(database: &Database, casino: Option<&str>, keys: &[String]) -> Result<Verdict> {
    let owner = database.owner().await?;
    let errand = owner.begin().await?;
    let casino = one_casino(&errand, casino).await?;
    errand.commit().await?;
    let mut chain = Chain::after(casino.id, Link::origin(), keys.to_vec());
    let mut verdict = Verdict::default();
    while let Some(batch) = next(&owner, casino.id, chain.end().seal_no).await? {
        verdict.seals += 1;
        verdict.rows += i64::try_from(batch.rows.len())?;
        verdict.note(chain.check(&batch));
    }
    let errand = owner.begin().await?;
    errand.stand_in(casino.id).await?;
    let strays: Vec<Uuid> = errand.json(STRAYS, &[casino.id]).await?;
    let gone: Vec<Uuid> = errand.json(LOST, &[casino.id]).await?;
    verdict.note(strays.into_iter().map(stray).chain(gone.into_iter().map(lost)).collect());
    verdict.root = Some(chain.end().root.clone());
    errand.commit().await?;
    owner.close().await?;
    Ok(verdict)
}

// ---- out of a file

fn verify_file(path: &Path, keys: &[String], root: Option<&str>) -> Result<ExitCode> {
    let cannot = || format!("cannot read {}", path.display());
    let mut file = BufReader::new(File::open(path).with_context(cannot)?);
    let mut reader = Reader::new(keys.to_vec());
    let mut verdict = Verdict::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = io::Read::take(&mut file, MOST_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .with_context(cannot)?;
        if read == 0 {
            break;
        }
        // Without a line end the last line is one byte short, and cannot be the end it should be: nothing is lost by reading it so.
        verdict.note(reader.line(line.strip_suffix(b"\n").unwrap_or(&line)));
    }
    let (summary, breaks) = reader.finish();
    verdict.note(breaks);
    let Summary {
        header,
        seals,
        rows,
        root: last,
    } = summary;
    if let Some(Header {
        casino,
        exported_at,
        from_seal,
        to_seal,
        ..
    }) = header
    {
        eprintln!("{casino}, seals {from_seal} to {to_seal}, exported {exported_at}");
    }
    Ok(Verdict {
        seals,
        rows,
        root: last,
        ..verdict
    }
    .told(root))
}

/// What verifying came to.
#[derive(Default)]
struct Verdict {
    seals: i64,
    rows: i64,
    root: Option<String>,
    /// How many were found; the first of them have been told.
    breaks: usize,
}

impl Verdict {
    /// Tells breaks as they are found: a file of years is not read to its end before the first is heard of.
    fn note(&mut self, breaks: Vec<Break>) {
        for found in breaks {
            self.breaks += 1;
            if self.breaks <= MOST_TOLD {
                say(told(&found));
            }
        }
    }

    fn told(mut self, expected: Option<&str>) -> ExitCode {
        let root = self.root.clone().unwrap_or_default();
        if let Some(expected) = expected.filter(|expected| !expected.eq_ignore_ascii_case(&root)) {
            self.breaks += 1;
            say(format_args!("root: the last seal's is {root}, not {expected}"));
        }
        let Self { seals, rows, breaks, .. } = self;
        if breaks > 0 {
            eprintln!("NOT AS SEALED: {breaks} breaks in {seals} seals, {rows} rows");
            return ExitCode::FAILURE;
        }
        say(format_args!("as sealed: {seals} seals, {rows} rows, root {root}"));
        ExitCode::SUCCESS
    }
}

/// `line 12, seal 3, position 4, row 018f…: row_altered: it is not what was sealed: …`
fn told(found: &Break) -> String {
    let Break {
        kind,
        seal_no,
        position,
        row_id,
        line,
        detail,
    } = found;
    let place = [
        line.map(|line| format!("line {line}")),
        seal_no.map(|seal| format!("seal {seal}")),
        position.map(|position| format!("position {position}")),
        row_id.map(|row| format!("row {row}")),
    ];
    let place = place.into_iter().flatten().collect::<Vec<_>>().join(", ");
    format!("{place}: {kind}: {detail}")
}
