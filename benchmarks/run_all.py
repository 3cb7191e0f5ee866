"""All benchmarks that need nothing but this repository, one after the other."""

from __future__ import annotations

from benchmarks import (
    agreement,
    cold_start,
    extractors,
    fault_drill,
    import_time,
    kim2019,
    many_cores,
    many_files,
    memory,
    network,
    one_file,
    pieces,
    recommendation,
    resume,
)
from benchmarks.tables import print_machine

if __name__ == "__main__":
    print_machine()
    import_time.main()
    cold_start.main()
    network.main()
    one_file.main()
    extractors.main([])
    pieces.main()
    kim2019.main()
    many_files.main([])
    many_cores.main([])
    memory.main()
    resume.main([])
    agreement.main("random")
    recommendation.main()
    fault_drill.main([])
