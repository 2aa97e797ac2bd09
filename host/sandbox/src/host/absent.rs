//! Files and sockets, which adaptors do not have. The runtimes of Python and JavaScript name them all the same, and
//! so does what uses Rust's `std::fs`. A component that imports them gets doors with nothing behind: no folder is
//! ever handed out, no socket made, and no code that could is linked.

use wasmtime::{
    Engine, Result, StoreContextMut, bail,
    component::{Component, Linker, LinkerInstance, Resource, ResourceType, Type, Val, types::ComponentItem},
};

use crate::call::CallState;

/// The packages, at the versions that runtimes are built for.
const PACKAGES: [&str; 2] = ["wasi:filesystem/", "wasi:sockets/"];
const VERSION: &str = "@0.2.";

/// Their resources. Others that these interfaces speak of, such as streams, are defined elsewhere.
const RESOURCES: [&str; 8] = [
    "descriptor",
    "directory-entry-stream",
    "network",
    "tcp-socket",
    "udp-socket",
    "incoming-datagram-stream",
    "outgoing-datagram-stream",
    "resolve-address-stream",
];

/// What WASI answers where something is forbidden.
const DENIED: &str = "access-denied";

/// Stands for each of these resources. There is nothing in it.
struct Nothing;

/// Whether an import is one of those.
pub(crate) fn is_absent(import: &str) -> bool {
    PACKAGES.iter().any(|package| import.starts_with(package)) && import.contains(VERSION)
}

/// Puts doors where a component names files or sockets.
pub(crate) fn link(linker: &mut Linker<CallState>, engine: &Engine, component: &Component) -> Result<()> {
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        if !is_absent(name) {
            continue;
        }
        let mut doors = linker.instance(name)?;
        for (name, export) in interface.exports(engine) {
            match export.ty {
                ComponentItem::Resource(_) if RESOURCES.contains(&name) => {
                    doors.resource(name, ResourceType::host::<Nothing>(), |_, _| Ok(()))?;
                }
                ComponentItem::ComponentFunc(_) => door(&mut doors, name)?,
                _ => {}
            }
        }
    }
    Ok(())
}

/// Each call through one is refused, as WASI says it where it can say so; where it cannot, the guest ends.
fn door(doors: &mut LinkerInstance<'_, CallState>, name: &str) -> Result<()> {
    let function = name.to_owned();
    doors.func_new(name, move |mut store, ty, given, results| {
        for handle in given {
            if let Val::Resource(handle) = handle {
                // Given back, as a call ends with.
                Resource::<Nothing>::try_from_resource_any(*handle, &mut store)?;
            }
        }
        let answer = ty.results().next().and_then(|ty| refusal(&ty, &mut store));
        match (answer, results) {
            (Some(answer), [result]) => *result = answer,
            _ => bail!("`{function}` was called, and adaptors have no files and no sockets"),
        }
        Ok(())
    })
}

fn refusal(ty: &Type, store: &mut StoreContextMut<'_, CallState>) -> Option<Val> {
    match ty {
        // The folders that are there at the start.
        Type::List(_) => Some(Val::List(Vec::new())),
        // The network, through which nothing is reached.
        Type::Own(_) => Resource::<Nothing>::new_own(0).try_into_resource_any(store).ok().map(Val::Resource),
        Type::Result(result) => match result.err()? {
            Type::Enum(codes) if codes.names().any(|code| code == DENIED) => {
                Some(Val::Result(Err(Some(Box::new(Val::Enum(DENIED.into()))))))
            }
            _ => None,
        },
        _ => None,
    }
}
