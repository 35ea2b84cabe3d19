// SPDX-License-Identifier: BSD-2-Clause
//! The symbols of a kernel that changes during the run: modules are loaded, BPF programs come and
//! go. An address without a symbol causes them to be read again, but not more often than every
//! [`SYMBOL_REREAD_INTERVAL`].

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

/// Minimum time between two reads. Reading all symbols may take tens of milliseconds.
const SYMBOL_REREAD_INTERVAL: Duration = Duration::from_secs(2);

/// The symbols as of the last read.
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

    /// Returns the modules that `--on-load` expects to be loaded.
    pub(crate) fn absent_modules(&self) -> &Arc<[AbsentModule]> {
        self.reader.absent_modules()
    }

    /// Returns the symbols as of the last read.
    pub(crate) fn kallsyms(&self) -> Arc<Kallsyms> {
        Arc::clone(&self.kallsyms.borrow())
    }

    /// Classifies an address of a stack. Reads the symbols again if none contains it. An address
    /// that stays unknown counts as code.
    pub(crate) fn role(&self, addr: Addr) -> AddrRole {
        let known = self.roles.role(&self.kallsyms.borrow(), addr);
        if let Some(role) = known {
            return role;
        }
        if self
            .read_at
            .get()
            .is_none_or(|at| at.elapsed() >= SYMBOL_REREAD_INTERVAL)
        {
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
