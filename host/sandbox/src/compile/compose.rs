//! Makes one component of a chain. It runs in the child: it parses what somebody uploaded.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use wac_graph::{CompositionGraph, EncodeOptions, NodeId, PackageId, types::Package};

use crate::{
    LoadError,
    loader::{Place, check_import, contract_interface},
};

/// A part that cannot stand where it stands: which one, from 0, and why.
pub(super) type Misfit = (usize, LoadError);

/// Interfaces of the contract that the parts behind offer: the name in full, and where it is.
type Offer = BTreeMap<String, (String, NodeId)>;

/// One component of several, middlewares first. Each part's `endpoint` and `replies` come from what stands behind
/// it; of each interface that any of them exports the foremost is exported again.
pub(super) fn compose(parts: &[&[u8]]) -> Result<Vec<u8>, Misfit> {
    // What wac thinks impossible it panics at, and of uploads little is.
    let composed = catch_unwind(AssertUnwindSafe(|| try_compose(parts)));
    composed.unwrap_or_else(|_| Err((0, LoadError::Link("the parser cannot read them together".into()))))
}

fn try_compose(parts: &[&[u8]]) -> Result<Vec<u8>, Misfit> {
    let mut graph = CompositionGraph::new();
    let mut offer = Offer::new();
    for (at, bytes) in parts.iter().enumerate().rev() {
        let place = if at + 1 == parts.len() { Place::Last } else { Place::Before };
        let added = register(&mut graph, at, bytes).and_then(|part| {
            check(&graph, part, place)?;
            wire(&mut graph, part, &mut offer)
        });
        added.map_err(|why| (at, why))?;
    }
    let mut exports: Vec<_> = offer.into_iter().collect();
    // What `endpoint` speaks of has to have a name before it is spoken of.
    exports.sort_by_key(|(interface, _)| interface != "replies");
    for (_, (name, node)) in exports {
        graph.export(node, name).map_err(|e| (0, link(&e)))?;
    }
    // The engine's own validator sees it next.
    let options = EncodeOptions { validate: false, ..EncodeOptions::default() };
    graph.encode(options).map_err(|e| (0, link(&e)))
}

fn register(graph: &mut CompositionGraph, at: usize, bytes: &[u8]) -> Result<PackageId, LoadError> {
    let invalid = |e: &dyn std::fmt::Display| LoadError::Invalid(in_one_line(&format!("{e:#}")));
    // Named by its place: one component may stand twice in a chain.
    let package = Package::from_bytes(&format!("part{at}"), None, bytes, graph.types_mut());
    graph.register_package(package.map_err(|e| invalid(&e))?).map_err(|e| invalid(&e))
}

/// Names tell what a part is.
fn check(graph: &CompositionGraph, part: PackageId, place: Place) -> Result<(), LoadError> {
    let world = &graph.types()[graph[part].ty()];
    let mut reaches_next = false;
    for name in world.imports.keys() {
        check_import(name, place)?;
        reaches_next |= contract_interface(name)? == Some("endpoint");
    }
    let mut is_endpoint = false;
    for name in world.exports.keys() {
        is_endpoint |= contract_interface(name)? == Some("endpoint");
    }
    match place {
        _ if !is_endpoint => Err(LoadError::NoEndpoint),
        Place::Before if !reaches_next => Err(LoadError::NoMiddleware),
        _ => Ok(()),
    }
}

/// Puts a part in front: what it imports of the contract's chain comes from `offer`, what it exports goes there.
fn wire(graph: &mut CompositionGraph, part: PackageId, offer: &mut Offer) -> Result<(), LoadError> {
    let instance = graph.instantiate(part);
    let world = &graph.types()[graph[part].ty()];
    let imports: Vec<String> = world.imports.keys().cloned().collect();
    let exports: Vec<String> = world.exports.keys().cloned().collect();
    for name in &imports {
        let Some(interface @ ("endpoint" | "replies")) = contract_interface(name)? else { continue };
        let Some((_, node)) = offer.get(interface) else {
            return Err(LoadError::Link(format!("it imports `{name}`, which the next one does not export")));
        };
        graph.set_instantiation_argument(instance, name, *node).map_err(|e| link(&e))?;
    }
    // What a part in front does not look at does not pass by it: the prompts of a batch would.
    offer.remove("batch");
    for name in exports {
        let Some(interface) = contract_interface(&name)?.map(str::to_owned) else { continue };
        let node = graph.alias_instance_export(instance, &name).map_err(|e| link(&e))?;
        offer.insert(interface, (name, node));
    }
    Ok(())
}

/// An error with its causes.
fn link(error: &dyn std::error::Error) -> LoadError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    LoadError::Link(in_one_line(&text))
}

fn in_one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
