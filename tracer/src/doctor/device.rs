//! What there is to know of an interface, and what tracing would attach to it.

use super::finding::Finding;
use crate::attach::{AttachError, Device, Facts, Hook, LinkHeader, XdpChoice};

pub(super) fn findings(device: &Device, choice: XdpChoice) -> Result<Vec<Finding>, AttachError> {
    let facts = device.facts()?;
    Ok(told(device, &facts, choice))
}

fn told(device: &Device, facts: &Facts, choice: XdpChoice) -> Vec<Finding> {
    let mut findings = vec![link(device, facts)];
    if let LinkHeader::Other(kind) = &device.header {
        findings.push(Finding::wrong(format!(
            "its frames begin with a header that is not read: {kind}"
        )));
        return findings;
    }
    findings.extend(xdp(facts));
    findings.extend(aggregation(facts));
    findings.extend(attached(facts));
    // What leaves loopback arrives there.
    match device.foresee(facts, choice, true) {
        Ok(attachment) => {
            findings.push(Finding::outcome(attachment.to_string().replacen(
                &format!("{}:", device.name),
                "tracing would take",
                1,
            )));
            let egress = attachment.egress.filter(|hook| *hook != attachment.ingress);
            let hooks = [Some(attachment.ingress), egress];
            findings.extend(
                hooks
                    .into_iter()
                    .flatten()
                    .map(|hook| Finding::outcome(cost(hook, device))),
            );
        }
        Err(error) => findings.push(Finding::wrong(error.to_string())),
    }
    findings
}

fn link(device: &Device, facts: &Facts) -> Finding {
    let mut words = match (&device.kind, device.loopback) {
        (_, true) => "the loopback device".to_owned(),
        (Some(kind), _) => format!("a {kind} device"),
        (None, _) => "a hardware NIC or what looks like one".to_owned(),
    };
    if let Some(driver) = &facts.driver {
        words.push_str(&format!(", driver {driver}"));
    }
    if let Some(mtu) = facts.mtu {
        words.push_str(&format!(", MTU {mtu}"));
    }
    if let Some(queues) = facts.rx_queues {
        let s = if queues == 1 { "" } else { "s" };
        words.push_str(&format!(", {queues} RX queue{s}"));
    }
    if device.header == LinkHeader::None {
        words.push_str(", no Ethernet header");
    }
    if facts.up {
        Finding::good(words)
    } else {
        Finding::odd(format!(
            "{words}; it is down, and shows nothing until it is up"
        ))
    }
}

fn xdp(facts: &Facts) -> Option<Finding> {
    let features = facts.xdp?;
    Some(Finding::good(match (features.native, features.fragments) {
        (false, _) => "its driver has no native XDP",
        (true, false) => "its driver has native XDP, for frames of one buffer",
        (true, true) => "its driver has native XDP, also for frames of several buffers",
    }))
}

/// What puts segments together before TC sees them.
fn aggregation(facts: &Facts) -> Option<Finding> {
    let on = |on: bool| if on { "on" } else { "off" };
    let words = match (facts.gro, facts.lro) {
        (None, None) => return None,
        (Some(gro), None) => format!("GRO is {}", on(gro)),
        (None, Some(lro)) => format!("LRO is {}", on(lro)),
        (Some(gro), Some(lro)) => format!("GRO is {}, LRO is {}", on(gro), on(lro)),
    };
    Some(match facts.lro {
        Some(true) => Finding::odd(format!(
            "{words}: native XDP needs it off (ethtool -K … lro off)"
        )),
        _ => Finding::good(words),
    })
}

fn attached(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (hook, number) in &facts.xdp_attached {
        findings.push(Finding::odd(format!(
            "{hook}: program {number} is attached already (bpftool prog show id {number})"
        )));
    }
    match &facts.tcx_attached {
        Ok(programs) if programs.is_empty() => {}
        Ok(programs) => findings.push(Finding::good(format!(
            "TCX: attached already, and no obstacle: {}",
            programs.join(", ")
        ))),
        Err(reason) => findings.push(Finding::odd(format!("TCX: {reason}"))),
    }
    if let Some(filters @ 1..) = facts.filters {
        findings.push(Finding::good(format!(
            "clsact: {filters} filters are attached already, and no obstacle"
        )));
    }
    if findings.is_empty() {
        findings.push(Finding::good("nothing is attached to it"));
    }
    findings
}

/// What tracing by a hook costs. Figures are those of `cargo xtask bench`, which measures them anywhere.
fn cost(hook: Hook, device: &Device) -> String {
    let words = match hook {
        Hook::NativeXdp if device.kind.is_some() => {
            "a data segment takes about 20 ns more, and the throughput of a software device falls to about a third"
        }
        Hook::NativeXdp => "a data segment takes about 20 ns more",
        Hook::GenericXdp => "GRO is off while it is attached: throughput falls by a sixth and more",
        Hook::Tcx => "a segment, or what GRO has put together, takes about 20 ns more",
        Hook::Clsact => "a segment, or what GRO has put together, takes about 25 ns more",
    };
    format!("{hook}: {words}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attach::fixtures::{facts, nic};

    fn report(device: &Device, facts: &Facts) -> String {
        let mut text = String::new();
        let findings = told(device, facts, XdpChoice::Auto);
        super::super::finding::write(&device.name, &findings, &mut text);
        text
    }

    #[test]
    fn a_nic_that_is_as_it_should_be() {
        assert_eq!(
            report(&nic(), &facts()),
            "eth0\n  \
               ✓ a hardware NIC or what looks like one, driver ice, MTU 1500, 4 RX queues\n  \
               ✓ its driver has native XDP, for frames of one buffer\n  \
               ✓ GRO is on, LRO is off\n  \
               ✓ nothing is attached to it\n  \
               ⇒ tracing would take native XDP ingress, TCX egress (auto: a hardware NIC)\n  \
               ⇒ native XDP: a data segment takes about 20 ns more\n  \
               ⇒ TCX: a segment, or what GRO has put together, takes about 20 ns more\n"
        );
    }

    #[test]
    fn what_is_in_the_way_is_told() {
        let mut facts = facts();
        facts.up = false;
        facts.lro = Some(true);
        facts.xdp_attached = vec![(Hook::NativeXdp, 7)];
        facts.tcx_attached = Err("this kernel has no TCX, which came with Linux 6.6".into());
        facts.filters = Some(2);
        let text = report(&nic(), &facts);
        for line in [
            "! a hardware NIC or what looks like one, driver ice, MTU 1500, 4 RX queues; it is down, and shows \
             nothing until it is up",
            "! GRO is on, LRO is on: native XDP needs it off (ethtool -K … lro off)",
            "! native XDP: program 7 is attached already (bpftool prog show id 7)",
            "! TCX: this kernel has no TCX, which came with Linux 6.6",
            "✓ clsact: 2 filters are attached already, and no obstacle",
            "⇒ tracing would take clsact ingress, clsact egress (auto: another XDP program is attached already; \
             this kernel has no TCX, which came with Linux 6.6)",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_header_that_is_not_read_is_in_the_way() {
        let infiniband = Device {
            header: LinkHeader::Other("INFINIBAND".into()),
            ..nic()
        };
        assert!(
            report(&infiniband, &facts())
                .contains("✗ its frames begin with a header that is not read")
        );
    }
}
