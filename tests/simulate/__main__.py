import sys, time, traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from mergeq.processes import EmbeddedRedis
from tests.simulate.run import run
from tests.simulate.laws import Broken
import structlog, logging
a,b=map(int,sys.argv[1].split("-")); steps=int(sys.argv[2])
with TemporaryDirectory(dir="/dev/shm") as f, EmbeddedRedis(Path(f)/"redis") as server:
    for seed in range(a,b+1):
        t=time.monotonic()
        try:
            s=run(seed,steps,server.url)
            print(seed,"ok",len(s.laws.landings),"landings",len(s.tale),"tale",round(time.monotonic()-t,1),"s", {str(b):r.retest for b,r in s.plan.rules.items()})
            if len(sys.argv)>3: print("\n".join(s.tale))
        except Broken as e:
            print(seed,"BROKEN",e,round(time.monotonic()-t,1)); 
            if len(sys.argv)>3: print("\n".join(e.tale[-60:]))
        except Exception as e:
            traceback.print_exc(limit=-12)
