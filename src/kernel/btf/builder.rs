// SPDX-License-Identifier: BSD-2-Clause
//! Builds small BTF by hand, for the tests of this module and of the selection.

/// Builds BTF bytes. Each method returns the id of the type that it adds.
#[derive(Debug)]
pub(crate) struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
    first_string: u32,
    next: u32,
    /// For each kind, the number of bytes after its record and per element. Empty before 7.1
    /// (222edc843c15, "btf: Add BTF kind layout encoding to UAPI").
    layout: Vec<(u8, u8)>,
}

impl Builder {
    /// Starts the BTF of a kernel.
    pub(crate) fn kernel() -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
            first_string: 0,
            next: 1,
            layout: Vec::new(),
        }
    }

    /// Starts the BTF of a module. Its ids and string offsets continue those of the base.
    pub(crate) fn module(base: &Self) -> Self {
        let first_string = base.first_string + base.strings.len() as u32;
        Self {
            types: Vec::new(),
            strings: vec![0],
            first_string,
            next: base.next,
            layout: Vec::new(),
        }
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.first_string + self.strings.len() as u32;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        at
    }

    pub(crate) fn words(&mut self, words: &[u32]) {
        self.types
            .extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    /// Sets the length of the records of a kind, as kernels since 7.1 (222edc843c15) do for all
    /// kinds.
    pub(crate) fn layout(&mut self, kind: usize, info: u8, element: u8) {
        if self.layout.len() <= kind {
            self.layout.resize(kind + 1, (0, 0));
        }
        self.layout[kind] = (info, element);
    }

    /// Adds any record: kind (with the kind flag in bit 7), name, number of elements, size or type.
    pub(crate) fn raw(&mut self, kind: u32, name: &str, vlen: u32, size_or_type: u32) -> u32 {
        let name = self.string(name);
        let flag = (kind >> 7) << 31;
        self.words(&[name, flag | ((kind & 0x7f) << 24) | vlen, size_or_type]);
        self.next += 1;
        self.next - 1
    }

    pub(crate) fn int(&mut self, name: &str, size: u32, encoding: u32) -> u32 {
        let id = self.raw(1, name, 0, size);
        self.words(&[(encoding << 24) | (size * 8)]);
        id
    }

    pub(crate) fn pointer(&mut self, to: u32) -> u32 {
        self.raw(2, "", 0, to)
    }

    pub(crate) fn typedef(&mut self, name: &str, of: u32) -> u32 {
        self.raw(8, name, 0, of)
    }

    pub(crate) fn structure(&mut self, name: &str, size: u32, members: &[(&str, u32)]) -> u32 {
        let id = self.raw(4, name, members.len() as u32, size);
        for (member, typ) in members {
            let member = self.string(member);
            self.words(&[member, *typ, 0]);
        }
        id
    }

    /// Adds a struct whose members have offsets in bytes.
    pub(crate) fn laid_out(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        let id = self.raw(4, name, members.len() as u32, size);
        for (member, typ, offset) in members {
            let member = self.string(member);
            self.words(&[member, *typ, 8 * offset]);
        }
        id
    }

    /// Adds an array type.
    pub(crate) fn array(&mut self, element: u32, count: u32) -> u32 {
        let id = self.raw(3, "", 0, 0);
        self.words(&[element, element, count]);
        id
    }

    pub(crate) fn enumeration(&mut self, name: &str, values: &[(&str, u32)]) -> u32 {
        let id = self.raw(6, name, values.len() as u32, 4);
        for (value, number) in values {
            let value = self.string(value);
            self.words(&[value, *number]);
        }
        id
    }

    /// Adds a function. A parameter of type 0 means `...`.
    pub(crate) fn func(&mut self, name: &str, result: u32, parameters: &[u32]) -> u32 {
        let proto = self.raw(13, "", parameters.len() as u32, result);
        for &parameter in parameters {
            self.words(&[0, parameter]);
        }
        self.raw(12, name, 1, proto)
    }

    /// Adds a function with named parameters.
    pub(crate) fn named_func(
        &mut self,
        name: &str,
        result: u32,
        parameters: &[(&str, u32)],
    ) -> u32 {
        let proto = self.raw(13, "", parameters.len() as u32, result);
        self.parameters(parameters);
        self.raw(12, name, 1, proto)
    }

    /// Adds parameters to the last prototype.
    pub(crate) fn parameters(&mut self, parameters: &[(&str, u32)]) {
        for &(name, parameter) in parameters {
            let name = self.string(name);
            self.words(&[name, parameter]);
        }
    }

    /// Returns the finished bytes.
    pub(crate) fn build(&self) -> Vec<u8> {
        let types = self.types.len() as u32;
        let strings = self.strings.len() as u32;
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let mut header = vec![24, 0, types, types, strings];
        if !self.layout.is_empty() {
            header[0] = 32;
            header.extend([types + strings, 4 * self.layout.len() as u32]);
        }
        for word in header {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(&self.types);
        bytes.extend(&self.strings);
        for (info, element) in &self.layout {
            bytes.extend([*info, *element, 0, 0]);
        }
        bytes
    }
}
