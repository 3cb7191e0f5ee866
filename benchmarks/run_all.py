"""All benchmarks that need nothing but this repository, one after the other."""

from __future__ import annotations

from benchmarks import (
    agreement,
    fault_drill,
    import_time,
    kim2019,
    many_files,
    memory,
    network,
    one_file,
    recommendation,
    resume,
)
from benchmarks.tables import print_machine

if __name__ == "__main__":
    print_machine()
    import_time.main()
    network.main()
    one_file.main()
    kim2019.main()
    many_files.main([])
    memory.main()
    resume.main([])
    agreement.main("random")
    recommendation.main()
    fault_drill.main([])
