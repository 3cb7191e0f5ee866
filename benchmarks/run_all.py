"""All benchmarks that need nothing but this repository, one after the other."""

from __future__ import annotations

import agreement
import import_time
import kim2019
import memory
import network
import one_file
from tables import print_machine

if __name__ == "__main__":
    print_machine()
    import_time.main()
    network.main()
    one_file.main()
    kim2019.main()
    memory.main()
    agreement.main("random")
