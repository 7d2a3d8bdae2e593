-- Takes claims.
-- KEYS     one claim a task
-- ARGV[1]  the value of a claim that the caller holds
-- ARGV[2]  how long the claim is kept, in ms
-- Returns  the indexes of the tasks that must not run, as somebody has claimed them; nothing on the happy path.
local found = redis.call('MGET', unpack(KEYS))
local mine, ttl, taken, call = ARGV[1], ARGV[2], {}, redis.call
for i, key in ipairs(KEYS) do
  local claim = found[i]
  if not claim then
    call('SET', key, mine, 'PX', ttl)
  elseif claim ~= mine then
    taken[#taken + 1] = i
  end
end
return taken
