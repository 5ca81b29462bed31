"""The station's page: what a run does, in a browser; starts, scans and unlocks from there; what was recorded.

The extra ``particle-dev[web]`` brings Starlette and uvicorn. Nothing of the station knows of this package: it is shown
the events of a run (:mod:`particle_dev.station.web.live`) and carries out what operators say, as standard input does.
"""
