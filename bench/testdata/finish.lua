-- Records results.
-- KEYS     one claim a task
-- ARGV[1]  the value of a claim that the caller holds
-- ARGV[2]  the value of a claim whose task succeeded
-- ARGV[3]  how long that is kept, in ms
-- Returns  the indexes of the tasks whose claim the caller does not hold; nothing on the happy path.
local found = redis.call('MGET', unpack(KEYS))
local mine, done, ttl, lost, call = ARGV[1], ARGV[2], ARGV[3], {}, redis.call
for i, key in ipairs(KEYS) do
  if found[i] == mine then
    call('SET', key, done, 'PX', ttl)
  else
    lost[#lost + 1] = i
  end
end
return lost
