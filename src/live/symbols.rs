// SPDX-License-Identifier: BSD-2-Clause
//! Symbols of a kernel that changes while we look: modules are loaded, BPF programs come and go.
//! An address that no symbol explains has them read again, but not for every such address.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::roles::Roles;
use crate::kernel::absent::AbsentModule;
use crate::kernel::kallsyms::Kallsyms;
use crate::kernel::symbols::SymbolReader;
use crate::session::AddrRole;
use crate::spec::Addr;
use crate::symbolize::Symbolizer;

/// Reading all symbols may take tens of milliseconds.
const PAUSE: Duration = Duration::from_secs(2);

/// The symbols as they were last read.
pub(crate) struct LiveSymbols<'a> {
    reader: &'a SymbolReader,
    symbolizer: &'a Symbolizer,
    kallsyms: RefCell<Arc<Kallsyms>>,
    read_at: Cell<Option<Instant>>,
    roles: Roles,
}

impl<'a> LiveSymbols<'a> {
    pub(crate) fn new(
        reader: &'a SymbolReader,
        symbolizer: &'a Symbolizer,
        kallsyms: Arc<Kallsyms>,
    ) -> Self {
        Self {
            reader,
            symbolizer,
            kallsyms: RefCell::new(kallsyms),
            read_at: Cell::new(None),
            roles: Roles::default(),
        }
    }

    /// Modules that are going to be loaded.
    pub(crate) fn absent_modules(&self) -> &Arc<[AbsentModule]> {
        self.reader.absent_modules()
    }

    /// The symbols as they are known now.
    pub(crate) fn kallsyms(&self) -> Arc<Kallsyms> {
        Arc::clone(&self.kallsyms.borrow())
    }

    /// What an address of a stack is.
    pub(crate) fn role(&self, addr: Addr) -> AddrRole {
        let known = self.roles.role(&self.kallsyms.borrow(), addr);
        if let Some(role) = known {
            return role;
        }
        if self.read_at.get().is_none_or(|at| at.elapsed() >= PAUSE) {
            self.read_at.set(Some(Instant::now()));
            let fresh = self.reader.read_again(&self.kallsyms.borrow());
            if let Ok(fresh) = fresh {
                let fresh = Arc::new(fresh);
                self.symbolizer.replace_kallsyms(Arc::clone(&fresh));
                self.kallsyms.replace(fresh);
                self.roles.forget();
            }
        }
        self.roles
            .role(&self.kallsyms.borrow(), addr)
            .unwrap_or(AddrRole::Code)
    }
}
