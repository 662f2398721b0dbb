//! `ip` and `cidr` of Kubernetes' CEL libraries. IPv4-mapped IPv6 addresses and zones are refused, as there.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{budget::Steps, error::EvalError, operators::no_overload, value::Val};

type Answer<'a> = Result<Val<'a>, EvalError>;

pub(super) fn parse_ip(text: &str) -> Result<IpAddr, EvalError> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() => {
            Err(EvalError::BadArgument(format!("IPv4-mapped IPv6 address {text:?} is not allowed")))
        }
        Ok(ip) => Ok(ip),
        Err(_) => Err(EvalError::BadArgument(format!("{:?} is not an IP address", shorten(text)))),
    }
}

pub(super) fn parse_cidr(text: &str) -> Result<IpNet, EvalError> {
    let bad = || EvalError::BadArgument(format!("{:?} is not a CIDR", shorten(text)));
    let (address, length) = text.split_once('/').ok_or_else(bad)?;
    let plain = length.bytes().all(|b| b.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    let length = length.parse().ok().filter(|_| plain).ok_or_else(bad)?;
    IpNet::new(parse_ip(address)?, length).map_err(|_| bad())
}

fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}

pub(super) fn ip<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Str(text)] => Ok(Val::Ip(parse_ip(text.as_str())?)),
        [Val::Ip(ip)] => Ok(Val::Ip(*ip)),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn is_ip<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    let [Val::Str(text)] = args else { return Err(no_overload(args)) };
    Ok(Val::Bool(parse_ip(text.as_str()).is_ok()))
}

pub(super) fn is_canonical<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    let [Val::Str(text)] = args else { return Err(no_overload(args)) };
    Ok(Val::Bool(parse_ip(text.as_str())?.to_string() == text.as_str()))
}

pub(super) fn cidr<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    let [Val::Str(text)] = args else { return Err(no_overload(args)) };
    Ok(Val::Cidr(parse_cidr(text.as_str())?))
}

pub(super) fn is_cidr<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    let [Val::Str(text)] = args else { return Err(no_overload(args)) };
    Ok(Val::Bool(parse_cidr(text.as_str()).is_ok()))
}

fn of_ip<'a>(args: &[Val<'a>], answer: fn(&IpAddr) -> Val<'static>) -> Answer<'a> {
    match args {
        [Val::Ip(ip)] => Ok(answer(ip)),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn family<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    of_ip(args, |ip| Val::Int(if ip.is_ipv4() { 4 } else { 6 }))
}

pub(super) fn is_unspecified<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    of_ip(args, |ip| Val::Bool(ip.is_unspecified()))
}

pub(super) fn is_loopback<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    of_ip(args, |ip| Val::Bool(ip.is_loopback()))
}

fn link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

pub(super) fn is_link_local_unicast<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    of_ip(args, |ip| Val::Bool(link_local(ip)))
}

pub(super) fn is_link_local_multicast<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    of_ip(args, |ip| {
        Val::Bool(match ip {
            IpAddr::V4(v4) => v4.octets().starts_with(&[224, 0, 0]),
            IpAddr::V6(v6) => v6.segments().first().is_some_and(|s| s & 0xff0f == 0xff02),
        })
    })
}

/// As Go's `netip.Addr.IsGlobalUnicast`: private addresses count.
pub(super) fn is_global_unicast<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    of_ip(args, |ip| {
        let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        Val::Bool(!broadcast && !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast() && !link_local(ip))
    })
}

pub(super) fn contains_ip<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Cidr(cidr), Val::Ip(ip)] => Ok(Val::Bool(cidr.contains(ip))),
        [Val::Cidr(cidr), Val::Str(text)] => Ok(Val::Bool(cidr.contains(&parse_ip(text.as_str())?))),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn contains_cidr<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Cidr(cidr), Val::Cidr(other)] => Ok(Val::Bool(cidr.contains(&other.trunc()))),
        [Val::Cidr(cidr), Val::Str(text)] => Ok(Val::Bool(cidr.contains(&parse_cidr(text.as_str())?.trunc()))),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn cidr_ip<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Cidr(cidr)] => Ok(Val::Ip(cidr.addr())),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn masked<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Cidr(cidr)] => Ok(Val::Cidr(cidr.trunc())),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn prefix_length<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    match args {
        [Val::Cidr(cidr)] => Ok(Val::Int(i64::from(cidr.prefix_len()))),
        _ => Err(no_overload(args)),
    }
}
