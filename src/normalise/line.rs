//! A line of a log file as an event. In: a record with a line. Out: an `Event`, always: what no format recognises keeps its
//! text, host, program and pid, and has no `event.provider`.

use jiff::{Timestamp, tz::TimeZone};

use super::{
    Normaliser, access, accounts, audit_line, cri, cron,
    draft::Draft,
    kernel, klog, logind, pam, programs, sshd,
    stamp::{self, Stamp},
    su, sudo, syslog, web_error,
};
use crate::{
    api::{log_source::LineFormat, rule::Source},
    event::{Event, MAX_TIMES},
    record::{Line, Origin, Record, RecordId, RedactionFacts},
};

pub use near::Near;

mod near;

impl Normaliser {
    /// Reads the line of `record`; none when nobody sent it.
    pub fn line<'a>(&self, record: &'a Record, line: &'a Line) -> Option<Event<'a>> {
        let origin = record.origin.as_ref()?;
        let mut draft = Draft { event: Event::blank(record.id, line.source, record.received_at, origin), stamp: None };
        facts(&mut draft.event, &record.facts);
        draft.event.log_file = (&*line.file).into();
        read(&mut draft, line);
        if let Some(stamp) = draft.stamp.filter(|_| !self.dates_lines_by_receipt) {
            draft.date(stamp, &stamp::zone(line.zone.as_deref()));
        }
        Some(draft.event)
    }
}

fn facts<'a>(event: &mut Event<'a>, facts: &'a RedactionFacts) {
    event.redacted = &facts.redacted;
    event.secret_like_values = facts.secret_like_values;
    event.incomplete = facts.incomplete.iter().map(|why| why.as_str()).collect();
}

/// True when a format recognised what the line says.
pub fn is_parsed(event: &Event<'_>) -> bool {
    event.audit.is_some() || !event.provider.is_empty()
}

/// The program of a line, from a fixed list, for counting.
pub fn program(event: &Event<'_>) -> &'static str {
    // Of the kernel's lines, `process.name` is the process that they are about.
    if event.service == "kernel" { "kernel" } else { programs::label(&event.process.name) }
}

/// Every value of [`program`].
pub fn program_labels() -> impl Iterator<Item = &'static str> {
    programs::labels()
}

/// The stamp of a line, and the zone that it is of where it names none.
fn stamp_of(line: &Line) -> (Option<Stamp>, TimeZone) {
    let origin = Origin { cluster: "".into(), reporter: "".into(), provenance: crate::record::Provenance::File };
    let mut draft =
        Draft { event: Event::blank(RecordId([0; 16]), line.source, Timestamp::UNIX_EPOCH, &origin), stamp: None };
    read(&mut draft, line);
    (draft.stamp, stamp::zone(line.zone.as_deref()))
}

fn read<'a>(draft: &mut Draft<'a>, line: &'a Line) {
    let text = line.text.trim_end_matches(['\r', '\n']);
    draft.event.line = text.into();
    let place = cri::place(&line.file);
    let output = if place.is_some() || line.source != Source::Node { cri::output(text) } else { None };
    if let Some(place) = place {
        draft.event.kubernetes = place;
    }
    let text = output.map_or(text, |output| output.text);
    draft.event.line = text.into();
    let known = match line.format {
        LineFormat::Combined => access::read(draft, text),
        LineFormat::Syslog => framed(draft, text),
        LineFormat::Auto | LineFormat::Audit => any(draft, text),
    };
    if !known {
        draft.event.provider = "";
    }
    if let Some(output) = output {
        // The runtime's stamp is finer than what the container writes, and none of its making.
        draft.stamp = Some(output.stamp);
        draft.note("stream", output.stream);
        if output.partial {
            draft.note("partial", true);
        }
    }
}

/// Finds the format by the first characters. Each format begins in its own way, so no text behind a header is tried as
/// another format's line.
fn any<'a>(draft: &mut Draft<'a>, text: &'a str) -> bool {
    match text.as_bytes().first() {
        Some(b'{') => access::read_json(draft, text),
        Some(b'[') => match kernel::uptime(text) {
            Some((uptime, message)) => of_kernel(draft, message, uptime),
            None => web_error::read_apache(draft, text) || access::read(draft, text),
        },
        Some(b't' | b'l') if klog::read_logfmt(draft, text) => true,
        Some(b't') if text.starts_with("type=") && audit_line::read(draft, text) => {
            draft.event.service = "auditd".into();
            true
        }
        Some(b'I' | b'W' | b'E' | b'F') if klog::read(draft, text) => true,
        Some(b'0'..=b'9') if web_error::read_nginx(draft, text) => true,
        // What a header of syslog begins is no access log, whatever a user's name in it looks like.
        _ if syslog::frame(text).stamp.is_some() => framed(draft, text),
        _ => access::read(draft, text) || framed(draft, text),
    }
}

/// A line with a header of syslog, or a message on its own.
fn framed<'a>(draft: &mut Draft<'a>, text: &'a str) -> bool {
    let framed = syslog::frame(text);
    draft.stamp = framed.stamp;
    draft.event.process.name = framed.program.into();
    draft.event.process.pid = framed.pid;
    draft.event.service = programs::service(framed.program).into();
    draft.event.line = framed.message.into();
    if framed.host != &*draft.event.origin.reporter {
        draft.note("hostname", framed.host);
    }
    draft.note("structured", framed.structured);
    draft.note("message_id", framed.message_id);
    if let Some(priority) = framed.priority {
        draft.note("facility", priority / 8);
        draft.note("severity", priority % 8);
    }
    let message = match syslog::repeated(framed.message) {
        Some((inner, count)) => {
            draft.note("repeated", count);
            draft.event.times = count.clamp(1, MAX_TIMES);
            draft.event.line = inner.into();
            inner
        }
        None => framed.message,
    };
    let service: &'a str = programs::service(framed.program);
    if service == "kernel" {
        let (uptime, message) = kernel::uptime(message).unwrap_or(("", message));
        return of_kernel(draft, message, uptime);
    }
    if message.starts_with("pam_") || message.starts_with("PAM ") {
        return pam::read(draft, message) || (service == "sshd" && sshd::read(draft, message));
    }
    let known = match service {
        "sshd" => sshd::read(draft, message),
        "sudo" => sudo::read(draft, message),
        "su" => su::read(draft, message),
        "cron" | "crontab" | "anacron" => cron::read(draft, message),
        "systemd-logind" => logind::read(draft, message),
        "nginx" | "apache" | "ingress-nginx" => access::read(draft, message) || access::read_json(draft, message),
        "audit" | "auditd" | "audisp-syslog" => audit_line::read(draft, message),
        _ if accounts::PROGRAMS.contains(&service) => accounts::read(draft, message),
        _ => false,
    };
    known || klog::read(draft, message) || klog::read_logfmt(draft, message)
}

fn of_kernel<'a>(draft: &mut Draft<'a>, message: &'a str, uptime: &'a str) -> bool {
    draft.event.service = "kernel".into();
    if draft.event.process.name.is_empty() {
        draft.event.process.name = "kernel".into();
    }
    draft.event.line = message.into();
    draft.note("uptime", uptime);
    kernel::read(draft, message)
}

#[cfg(test)]
mod forms;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
